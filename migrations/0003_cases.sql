-- +goose Up
CREATE TABLE case_numbers (
    agency_id {{.uuid}} NOT NULL,
    year      {{.big}} NOT NULL,
    last      {{.big}} NOT NULL,
    PRIMARY KEY (agency_id, year)
);

CREATE TABLE cases (
    id            {{.uuid}} PRIMARY KEY,
    agency_id     {{.uuid}} NOT NULL REFERENCES agencies (id),
    number        text NOT NULL,
    class         text NOT NULL CHECK (class IN ('WELFARE', 'INFORMATION', 'TRAFFIC', 'OTHER')),
    municipality  text NOT NULL DEFAULT '',
    place         text NOT NULL DEFAULT '',
    notes         text NOT NULL DEFAULT '',
    drill         {{.bool}} NOT NULL DEFAULT false,
    opened_by     {{.uuid}} NOT NULL REFERENCES users (id),
    opened_at     {{.ts}} NOT NULL,
    dispatched_at {{.ts}},
    changed_at    {{.ts}} NOT NULL,
    open_sessions {{.big}} NOT NULL DEFAULT 0,
    closed_at     {{.ts}},
    erased_at     {{.ts}},
    UNIQUE (agency_id, number)
);
CREATE INDEX cases_by_change ON cases (agency_id, changed_at, id);
CREATE INDEX cases_by_opening ON cases (agency_id, opened_at, id);

CREATE TABLE sessions (
    id              {{.uuid}} PRIMARY KEY,
    agency_id       {{.uuid}} NOT NULL REFERENCES agencies (id),
    case_id         {{.uuid}} NOT NULL REFERENCES cases (id),
    kind            text NOT NULL CHECK (kind IN ('CALLER', 'STAFF')),
    asked           text NOT NULL CHECK (asked IN ('PHOTO', 'STORED', 'LIVE', 'POSITION')),
    state           text NOT NULL,
    dispatcher_id   {{.uuid}} NOT NULL REFERENCES users (id),
    number          text NOT NULL DEFAULT '',
    email           text NOT NULL DEFAULT '',
    email_reason    text NOT NULL DEFAULT '',
    language        text NOT NULL DEFAULT 'ja',
    need            text NOT NULL DEFAULT '',
    checks          text NOT NULL DEFAULT '{}',
    late_reason     text NOT NULL DEFAULT '',
    reported_at     {{.ts}},
    requested_at    {{.ts}} NOT NULL,
    link_sent_at    {{.ts}},
    opened_at       {{.ts}},
    code_ok_at      {{.ts}},
    consented_at    {{.ts}},
    connected_at    {{.ts}},
    first_frame_at  {{.ts}},
    ended_at        {{.ts}},
    revoked_at      {{.ts}},
    expired_at      {{.ts}},
    failed_at       {{.ts}},
    stall           text NOT NULL DEFAULT '',
    stalled_at      {{.ts}},
    end_reason      text NOT NULL DEFAULT '',
    ended_by        text NOT NULL DEFAULT '',
    misdirected     {{.bool}} NOT NULL DEFAULT false,
    live            {{.bool}} NOT NULL DEFAULT false,
    changed_at      {{.ts}} NOT NULL,
    photos_now      {{.big}} NOT NULL DEFAULT 0,
    photos_before   {{.big}} NOT NULL DEFAULT 0,
    videos_now      {{.big}} NOT NULL DEFAULT 0,
    videos_before   {{.big}} NOT NULL DEFAULT 0,
    recordings      {{.big}} NOT NULL DEFAULT 0,
    snapshots       {{.big}} NOT NULL DEFAULT 0,
    incomplete      {{.big}} NOT NULL DEFAULT 0,
    position_count  {{.big}} NOT NULL DEFAULT 0,
    position_head   {{.bytes}},
    erased_at       {{.ts}}
);
CREATE INDEX sessions_by_case ON sessions (case_id);
CREATE INDEX sessions_by_request ON sessions (agency_id, requested_at, id);
CREATE INDEX sessions_open ON sessions (agency_id, state);

CREATE TABLE links (
    id          {{.uuid}} PRIMARY KEY,
    agency_id   {{.uuid}} NOT NULL REFERENCES agencies (id),
    session_id  {{.uuid}} NOT NULL REFERENCES sessions (id),
    secret_hash {{.bytes}} NOT NULL UNIQUE,
    proof       {{.big}} NOT NULL,
    uses        {{.big}} NOT NULL,
    used        {{.big}} NOT NULL DEFAULT 0,
    issued_at   {{.ts}} NOT NULL,
    expires_at  {{.ts}} NOT NULL,
    code_sealed {{.bytes}},
    code_tries  {{.big}} NOT NULL DEFAULT 0,
    state       text NOT NULL CHECK (state IN ('LIVE', 'REVOKED', 'EXPIRED', 'CODE_FAILED', 'ENDED')),
    died_at     {{.ts}},
    CHECK (used <= uses)
);
CREATE INDEX links_by_session ON links (session_id);
CREATE INDEX links_alive ON links (state, expires_at);

-- A phone that joined: provisional until its first media or position is accepted.
CREATE TABLE phones (
    id          {{.uuid}} PRIMARY KEY,
    agency_id   {{.uuid}} NOT NULL REFERENCES agencies (id),
    session_id  {{.uuid}} NOT NULL REFERENCES sessions (id),
    link_id     {{.uuid}} NOT NULL REFERENCES links (id),
    state       text NOT NULL CHECK (state IN ('PROVISIONAL', 'WAITING', 'BOUND', 'REFUSED')),
    public_key  {{.bytes}} NOT NULL,
    token_hash  {{.bytes}} NOT NULL UNIQUE,
    system      text NOT NULL DEFAULT '',
    browser     text NOT NULL DEFAULT '',
    language    text NOT NULL DEFAULT '',
    joined_at   {{.ts}} NOT NULL,
    bound_at    {{.ts}},
    stopped_at  {{.ts}}
);
CREATE INDEX phones_by_session ON phones (session_id);

CREATE TABLE nonces (
    hash       {{.bytes}} PRIMARY KEY,
    link_id    {{.uuid}} NOT NULL REFERENCES links (id),
    expires_at {{.ts}} NOT NULL
);
CREATE INDEX nonces_by_link ON nonces (link_id);

CREATE TABLE consents (
    id         {{.uuid}} PRIMARY KEY,
    agency_id  {{.uuid}} NOT NULL REFERENCES agencies (id),
    session_id {{.uuid}} NOT NULL REFERENCES sessions (id),
    phone_id   {{.uuid}} REFERENCES phones (id),
    agreed     {{.bool}} NOT NULL,
    version    text NOT NULL,
    language   text NOT NULL,
    at         {{.ts}} NOT NULL
);
CREATE INDEX consents_by_session ON consents (session_id);

-- One fix a row, chained within the session; number orders the agency's fixes.
CREATE TABLE positions (
    id          {{.uuid}} PRIMARY KEY,
    agency_id   {{.uuid}} NOT NULL REFERENCES agencies (id),
    number      {{.big}} NOT NULL,
    session_id  {{.uuid}} NOT NULL REFERENCES sessions (id),
    phone_id    {{.uuid}} NOT NULL REFERENCES phones (id),
    sequence    {{.big}} NOT NULL,
    latitude    {{.float}} NOT NULL,
    longitude   {{.float}} NOT NULL,
    accuracy    {{.float}} NOT NULL,
    altitude    {{.float}},
    heading     {{.float}},
    speed       {{.float}},
    captured_at {{.ts}} NOT NULL,
    received_at {{.ts}} NOT NULL,
    salt        {{.bytes}} NOT NULL,
    hash        {{.bytes}} NOT NULL,
    UNIQUE (session_id, sequence),
    UNIQUE (agency_id, number)
);

CREATE TABLE contact_tasks (
    id         {{.uuid}} PRIMARY KEY,
    agency_id  {{.uuid}} NOT NULL REFERENCES agencies (id),
    session_id {{.uuid}} NOT NULL REFERENCES sessions (id),
    number     text NOT NULL,
    opened_at  {{.ts}} NOT NULL,
    done_at    {{.ts}},
    done_by    text NOT NULL DEFAULT '',
    outcome    text NOT NULL DEFAULT ''
);
CREATE INDEX contact_tasks_by_session ON contact_tasks (session_id);
