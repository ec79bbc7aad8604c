-- +goose Up
-- Why and since when a person may not sign in (第7の2).
ALTER TABLE users ADD COLUMN status_reason text NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN status_since {{.ts}};

-- How a login came about, when somebody last did something under it, and
-- whether its screen was locked by hand.
ALTER TABLE logins ADD COLUMN method text NOT NULL DEFAULT 'PASSWORD';
ALTER TABLE logins ADD COLUMN active_at {{.ts}};
ALTER TABLE logins ADD COLUMN locked_at {{.ts}};

-- One passkey (第8の1): the whole record as the authenticator gave it, and after
-- each use. Only its public key ever leaves the terminal.
CREATE TABLE credentials (
    id            {{.uuid}} PRIMARY KEY,
    agency_id     {{.uuid}} NOT NULL REFERENCES agencies (id),
    user_id       {{.uuid}} NOT NULL REFERENCES users (id),
    credential_id {{.bytes}} NOT NULL UNIQUE,
    record        text NOT NULL,
    authenticator text NOT NULL,
    label         text NOT NULL DEFAULT '',
    created_at    {{.ts}} NOT NULL,
    used_at       {{.ts}}
);
CREATE INDEX credentials_by_user ON credentials (user_id);

-- A code with which a person makes the first passkey. One a person: a new one
-- replaces the old.
CREATE TABLE enrolments (
    id         {{.uuid}} PRIMARY KEY,
    agency_id  {{.uuid}} NOT NULL REFERENCES agencies (id),
    user_id    {{.uuid}} NOT NULL UNIQUE REFERENCES users (id),
    code_hash  {{.bytes}} NOT NULL,
    tries      {{.big}} NOT NULL DEFAULT 0,
    issued_by  text NOT NULL,
    issued_at  {{.ts}} NOT NULL,
    expires_at {{.ts}} NOT NULL
);

-- Challenges that were answered, until they would have run out anyway: each is
-- good for one answer.
CREATE TABLE spent_challenges (
    hash       {{.bytes}} PRIMARY KEY,
    expires_at {{.ts}} NOT NULL
);
CREATE INDEX spent_challenges_by_expiry ON spent_challenges (expires_at);

-- A password made ahead and sealed in an envelope, for the night the reader
-- breaks. It opens one login, and that login's lock, and nothing after it.
CREATE TABLE sealed_passwords (
    id         {{.uuid}} PRIMARY KEY,
    agency_id  {{.uuid}} NOT NULL REFERENCES agencies (id),
    user_id    {{.uuid}} NOT NULL UNIQUE REFERENCES users (id),
    hash       text NOT NULL,
    reason     text NOT NULL,
    sealed_by  text NOT NULL,
    sealed_at  {{.ts}} NOT NULL,
    opened_at  {{.ts}},
    login_id   {{.uuid}} REFERENCES logins (id)
);

-- What is left to do on a terminal when a fingerprint's passkey is erased here.
CREATE TABLE fingerprint_tasks (
    id        {{.uuid}} PRIMARY KEY,
    agency_id {{.uuid}} NOT NULL REFERENCES agencies (id),
    user_id   {{.uuid}} NOT NULL REFERENCES users (id),
    label     text NOT NULL,
    opened_at {{.ts}} NOT NULL,
    done_at   {{.ts}},
    done_by   text NOT NULL DEFAULT ''
);
CREATE INDEX fingerprint_tasks_open ON fingerprint_tasks (agency_id, done_at, id);
