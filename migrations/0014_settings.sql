-- +goose Up
-- Every version of an agency's settings: what they were, by whom and why. The
-- first one of an agency that is there already is what it has today.
CREATE TABLE settings_versions (
    agency_id  {{.uuid}} NOT NULL REFERENCES agencies (id),
    version    {{.big}} NOT NULL,
    settings   text NOT NULL,
    changed_by text NOT NULL DEFAULT '',
    reason     text NOT NULL DEFAULT '',
    changed_at {{.ts}} NOT NULL,
    PRIMARY KEY (agency_id, version)
);
INSERT INTO settings_versions (agency_id, version, settings, changed_at)
SELECT id, version, settings, created_at FROM agencies;

-- Which entries of the journal name something in what they say, by its id: who
-- follows a person, a case or a file finds them. Ids alone stand here.
CREATE TABLE journal_mentions (
    agency_id {{.uuid}} NOT NULL,
    mentioned text NOT NULL,
    number    {{.big}} NOT NULL,
    PRIMARY KEY (agency_id, mentioned, number)
);
CREATE INDEX journal_by_actor ON journal_entries (agency_id, actor_id, number);
CREATE INDEX journal_by_subject ON journal_entries (agency_id, subject_id, number);

-- A verification of an agency's chain, and what it found.
CREATE TABLE journal_verifications (
    id          {{.uuid}} PRIMARY KEY,
    agency_id   {{.uuid}} NOT NULL,
    started_by  text NOT NULL,
    started_at  {{.ts}} NOT NULL,
    finished_at {{.ts}},
    entries     {{.big}} NOT NULL DEFAULT 0,
    emptied     {{.big}} NOT NULL DEFAULT 0,
    checkpoints {{.big}} NOT NULL DEFAULT 0,
    elsewhere   {{.big}} NOT NULL DEFAULT 0,
    faults      text NOT NULL DEFAULT '[]',
    failed      {{.bool}} NOT NULL DEFAULT false
);
CREATE INDEX journal_verifications_by_agency ON journal_verifications (agency_id, started_at);

-- What somebody may fetch of the journal, once and for a few minutes.
CREATE TABLE journal_exports (
    id         {{.uuid}} PRIMARY KEY,
    agency_id  {{.uuid}} NOT NULL,
    asked_by   text NOT NULL,
    login      text NOT NULL,
    grant_hash {{.bytes}} NOT NULL,
    format     text NOT NULL CHECK (format IN ('CSV', 'JSON_LINES')),
    filter     text NOT NULL,
    expires_at {{.ts}} NOT NULL,
    used_at    {{.ts}}
);

-- Who runs the installation (OPERATOR) is no agency's: they stand under one row
-- of their own, which no list of agencies shows, and see counts and health only.
ALTER TABLE users ADD COLUMN operator {{.bool}} NOT NULL DEFAULT false;
INSERT INTO agencies (id, code, name_ja, name_en, settings, version, created_at)
VALUES ('00000000-0000-0000-0000-000000000000', 'operators', '設置運用', 'Installation', '{}', 1, {{if eq .dialect "postgres"}}now(){{else}}'1970-01-01 00:00:00+00:00'{{end}});
INSERT INTO settings_versions (agency_id, version, settings, changed_at)
SELECT id, version, settings, created_at FROM agencies WHERE code = 'operators';
