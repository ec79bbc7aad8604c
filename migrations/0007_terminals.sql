-- +goose Up
-- Enrolled devices (第4の6). The private key never leaves the device.
CREATE TABLE terminals (
    id          {{.uuid}} PRIMARY KEY,
    agency_id   {{.uuid}} NOT NULL REFERENCES agencies (id),
    kind        text NOT NULL CHECK (kind IN ('TABLET', 'NOTEBOOK', 'ADMIN')),
    number      text NOT NULL,
    place       text NOT NULL,
    state       text NOT NULL CHECK (state IN ('ENROLLED', 'SUSPENDED', 'REVOKED')),
    reason      text NOT NULL DEFAULT '',
    fault       text NOT NULL DEFAULT '',
    fault_note  text NOT NULL DEFAULT '',
    fault_at    {{.ts}},
    public_key  {{.bytes}} NOT NULL,
    thumbprint  {{.bytes}} NOT NULL UNIQUE,
    version     text NOT NULL DEFAULT '',
    shared      {{.bool}} NOT NULL,
    enrolled_at {{.ts}} NOT NULL,
    changed_at  {{.ts}} NOT NULL,
    seen_at     {{.ts}} NOT NULL
);
-- The number of a device that was revoked for good goes to the one that follows.
CREATE UNIQUE INDEX terminals_by_number ON terminals (agency_id, number) WHERE state <> 'REVOKED';

-- Codes that a manager reads out to whoever sets a device up; each works once.
CREATE TABLE terminal_codes (
    id         {{.uuid}} PRIMARY KEY,
    agency_id  {{.uuid}} NOT NULL REFERENCES agencies (id),
    kind       text NOT NULL,
    number     text NOT NULL,
    place      text NOT NULL,
    code_hash  {{.bytes}} NOT NULL UNIQUE,
    created_at {{.ts}} NOT NULL,
    expires_at {{.ts}} NOT NULL,
    used_at    {{.ts}}
);

-- A sign-in is bound to its terminal. Those from before have none and are over:
-- their people sign in again, on a terminal that was enrolled.
ALTER TABLE logins ADD COLUMN terminal_id {{.uuid}} REFERENCES terminals (id);
CREATE INDEX logins_by_terminal ON logins (terminal_id, created_at);

-- The reception that another rule provides for (第5の2).
CREATE TABLE receptions (
    id          {{.uuid}} PRIMARY KEY,
    agency_id   {{.uuid}} NOT NULL REFERENCES agencies (id),
    user_id     {{.uuid}} NOT NULL REFERENCES users (id),
    rule_number text NOT NULL,
    rule_date   text NOT NULL,
    given_by    text NOT NULL,
    given_at    {{.ts}} NOT NULL,
    until_at    {{.ts}} NOT NULL,
    ended_at    {{.ts}},
    CHECK (given_by <> CAST(user_id AS text))
);
CREATE INDEX receptions_by_user ON receptions (user_id);
CREATE INDEX receptions_open ON receptions (until_at) WHERE ended_at IS NULL;
