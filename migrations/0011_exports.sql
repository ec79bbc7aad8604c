-- +goose Up
-- Who may approve exports in the manager's place (職務代行者), from when until when.
CREATE TABLE deputies (
    id           {{.uuid}} PRIMARY KEY,
    agency_id    {{.uuid}} NOT NULL REFERENCES agencies (id),
    user_id      {{.uuid}} NOT NULL REFERENCES users (id),
    reason       text NOT NULL,
    appointed_by {{.uuid}} NOT NULL REFERENCES users (id),
    appointed_at {{.ts}} NOT NULL,
    from_at      {{.ts}} NOT NULL,
    until_at     {{.ts}} NOT NULL,
    ended_at     {{.ts}},
    CHECK (from_at < until_at)
);
CREATE INDEX deputies_by_agency ON deputies (agency_id, appointed_at, id);
CREATE INDEX deputies_by_user ON deputies (user_id, until_at);

-- Keeping files beyond their due time on a medium that the organisation owns (第6の4, 第6の5).
CREATE TABLE export_requests (
    id              {{.uuid}} PRIMARY KEY,
    agency_id       {{.uuid}} NOT NULL REFERENCES agencies (id),
    case_id         {{.uuid}} NOT NULL REFERENCES cases (id),
    ground          text NOT NULL CHECK (ground IN ('DISCLOSURE', 'ILLEGAL_ACT', 'OTHER')),
    law             text NOT NULL DEFAULT '',
    document        text NOT NULL DEFAULT '',
    incident        text NOT NULL DEFAULT '',
    description     text NOT NULL DEFAULT '',
    medium          text NOT NULL,
    permitted_id    {{.uuid}} NOT NULL REFERENCES users (id),
    requested_by    {{.uuid}} NOT NULL REFERENCES users (id),
    requested_at    {{.ts}} NOT NULL,
    state           text NOT NULL CHECK (state IN ('REQUESTED', 'APPROVED', 'REFUSED', 'WRITTEN', 'RECEIPTED', 'RETURNED', 'DISPOSED', 'EXPIRED')),
    first_due_at    {{.ts}} NOT NULL,
    alarm           text NOT NULL DEFAULT 'REQUESTED' CHECK (alarm IN ('REQUESTED', 'DUE_48H', 'DUE_6H')),
    decided_by      text NOT NULL DEFAULT '',
    decided_as      text NOT NULL DEFAULT '',
    decided_at      {{.ts}},
    refusal         text NOT NULL DEFAULT '',
    written_at      {{.ts}},
    archive_sha256  {{.bytes}},
    archive_size    {{.big}} NOT NULL DEFAULT 0,
    receiver        text NOT NULL DEFAULT '',
    receipt_by      text NOT NULL DEFAULT '',
    receipted_at    {{.ts}},
    return_by       {{.ts}},
    closed_by       text NOT NULL DEFAULT '',
    closed_at       {{.ts}},
    closing_note    text NOT NULL DEFAULT '',
    changed_at      {{.ts}} NOT NULL
);
CREATE INDEX exports_by_request ON export_requests (agency_id, requested_at, id);
CREATE INDEX exports_open ON export_requests (state, first_due_at);
CREATE INDEX exports_by_case ON export_requests (agency_id, case_id);

-- No reference to media_files: a file may be purged before, and always is after.
CREATE TABLE export_files (
    export_id   {{.uuid}} NOT NULL REFERENCES export_requests (id),
    media_id    {{.uuid}} NOT NULL,
    position    {{.big}} NOT NULL,
    session_id  {{.uuid}} NOT NULL,
    kind        text NOT NULL,
    size        {{.big}} NOT NULL,
    sha256      {{.bytes}} NOT NULL,
    acquired_at {{.ts}} NOT NULL,
    due_at      {{.ts}} NOT NULL,
    purged_at   {{.ts}},
    PRIMARY KEY (export_id, media_id)
);
CREATE INDEX export_files_by_media ON export_files (media_id);

-- One attempt to write an archive; its secret is wiped when it ends.
CREATE TABLE export_writings (
    id          {{.uuid}} PRIMARY KEY,
    agency_id   {{.uuid}} NOT NULL REFERENCES agencies (id),
    export_id   {{.uuid}} NOT NULL REFERENCES export_requests (id),
    user_id     {{.uuid}} NOT NULL REFERENCES users (id),
    login_id    text NOT NULL,
    secret      {{.bytes}},
    state       text NOT NULL CHECK (state IN ('OPEN', 'STREAMING', 'STREAMED', 'FAILED', 'WRITTEN')),
    opened_at   {{.ts}} NOT NULL,
    expires_at  {{.ts}} NOT NULL,
    ended_at    {{.ts}},
    sha256      {{.bytes}},
    size        {{.big}} NOT NULL DEFAULT 0
);
CREATE INDEX export_writings_by_export ON export_writings (export_id, opened_at);
CREATE INDEX export_writings_open ON export_writings (state, expires_at);

-- Where an agency's journal stood, signed; each names the one before it.
CREATE TABLE journal_checkpoints (
    agency_id {{.uuid}} NOT NULL,
    number    {{.big}} NOT NULL,
    hash      {{.bytes}} NOT NULL,
    at        {{.ts}} NOT NULL,
    previous  {{.bytes}} NOT NULL,
    signature {{.bytes}} NOT NULL,
    PRIMARY KEY (agency_id, number)
);

-- How far each way off this machine has carried them.
CREATE TABLE checkpoint_ways (
    way       text NOT NULL,
    agency_id {{.uuid}} NOT NULL,
    number    {{.big}} NOT NULL,
    failed_at {{.ts}},
    PRIMARY KEY (way, agency_id)
);
