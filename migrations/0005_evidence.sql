-- +goose Up
CREATE TABLE media_files (
    id               {{.uuid}} PRIMARY KEY,
    agency_id        {{.uuid}} NOT NULL REFERENCES agencies (id),
    case_id          {{.uuid}} NOT NULL REFERENCES cases (id),
    session_id       {{.uuid}} NOT NULL REFERENCES sessions (id),
    phone_id         text NOT NULL DEFAULT '',
    uploader_kind    text NOT NULL DEFAULT '',
    uploader_id      text NOT NULL DEFAULT '',
    uploader_role    text NOT NULL DEFAULT '',
    kind             text NOT NULL CHECK (kind IN ('RECORDING', 'PHOTO', 'VIDEO', 'SNAPSHOT')),
    capture          text NOT NULL CHECK (capture IN ('NOW', 'BEFORE')),
    state            text NOT NULL CHECK (state IN ('RECEIVING', 'COMPLETE', 'INCOMPLETE')),
    reason           text NOT NULL DEFAULT '',
    content_type     text NOT NULL DEFAULT '',
    declared_size    {{.big}} NOT NULL DEFAULT 0,
    size             {{.big}} NOT NULL DEFAULT 0,
    sha256           {{.bytes}},
    chain            {{.bytes}},
    segments         {{.big}} NOT NULL DEFAULT 0,
    name_sealed      {{.bytes}},
    metadata_sealed  {{.bytes}},
    key_wrapped      {{.bytes}},
    preview          text NOT NULL DEFAULT 'NONE' CHECK (preview IN ('NONE', 'PENDING', 'READY', 'IMPOSSIBLE')),
    width            {{.big}} NOT NULL DEFAULT 0,
    height           {{.big}} NOT NULL DEFAULT 0,
    duration_ms      {{.big}} NOT NULL DEFAULT 0,
    gaps             {{.big}} NOT NULL DEFAULT 0,
    node             text NOT NULL DEFAULT '',
    source_ids       text NOT NULL DEFAULT '[]',
    created_at       {{.ts}} NOT NULL,
    acquired_at      {{.ts}},
    due_at           {{.ts}},
    due_day          text NOT NULL DEFAULT ''
);
CREATE INDEX media_by_session ON media_files (session_id);
CREATE INDEX media_by_case ON media_files (agency_id, case_id);
CREATE INDEX media_due ON media_files (due_at);
CREATE INDEX media_receiving ON media_files (state);

CREATE TABLE viewings (
    id          {{.uuid}} PRIMARY KEY,
    agency_id   {{.uuid}} NOT NULL REFERENCES agencies (id),
    session_id  {{.uuid}} NOT NULL REFERENCES sessions (id),
    media_id    text NOT NULL DEFAULT '',
    user_id     {{.uuid}} NOT NULL REFERENCES users (id),
    login_id    text NOT NULL DEFAULT '',
    purpose     text NOT NULL,
    opened_at   {{.ts}} NOT NULL,
    expires_at  {{.ts}} NOT NULL,
    closed_at   {{.ts}},
    bytes       {{.big}} NOT NULL DEFAULT 0,
    requests    {{.big}} NOT NULL DEFAULT 0
);
CREATE INDEX viewings_by_session ON viewings (session_id);
CREATE INDEX viewings_open ON viewings (closed_at, expires_at);
CREATE INDEX viewings_by_media ON viewings (media_id);

-- What was destroyed, when it was due and when it was done; never what it showed.
CREATE TABLE retention_ledger (
    media_id   {{.uuid}} PRIMARY KEY,
    agency_id  {{.uuid}} NOT NULL,
    kind       text NOT NULL,
    sha256     {{.bytes}},
    due_at     {{.ts}} NOT NULL,
    purged_at  {{.ts}} NOT NULL
);
CREATE INDEX ledger_by_agency ON retention_ledger (agency_id, purged_at);

-- Where wall and boot clock stood when the wall clock was last believed, one row
-- a boot of each machine.
CREATE TABLE clock_anchors (
    boot_id text PRIMARY KEY,
    wall    {{.ts}} NOT NULL,
    boot_ns {{.big}} NOT NULL,
    doubted {{.bool}} NOT NULL DEFAULT false
);
