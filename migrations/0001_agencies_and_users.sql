-- +goose Up
CREATE TABLE agencies (
    id         {{.uuid}} PRIMARY KEY,
    code       text NOT NULL UNIQUE,
    name_ja    text NOT NULL,
    name_en    text NOT NULL,
    settings   text NOT NULL,
    version    {{.big}} NOT NULL DEFAULT 1,
    created_at {{.ts}} NOT NULL
);

CREATE TABLE users (
    id               {{.uuid}} PRIMARY KEY,
    agency_id        {{.uuid}} NOT NULL REFERENCES agencies (id),
    user_name        text NOT NULL,
    display_name     text NOT NULL,
    role             text NOT NULL CHECK (role IN ('MANAGER', 'SUPERVISOR', 'DISPATCHER')),
    status           text NOT NULL CHECK (status IN ('ACTIVE', 'SUSPENDED', 'REMOVED')),
    password_hash    text NOT NULL DEFAULT '',
    password_reason  text NOT NULL DEFAULT '',
    created_at       {{.ts}} NOT NULL,
    UNIQUE (agency_id, user_name)
);

-- One sign-in at a console; the token is known only to the browser.
CREATE TABLE logins (
    id           {{.uuid}} PRIMARY KEY,
    user_id      {{.uuid}} NOT NULL REFERENCES users (id),
    token_hash   {{.bytes}} NOT NULL UNIQUE,
    created_at   {{.ts}} NOT NULL,
    seen_at      {{.ts}} NOT NULL,
    ended_at     {{.ts}}
);
CREATE INDEX logins_by_user ON logins (user_id);
