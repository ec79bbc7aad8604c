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
