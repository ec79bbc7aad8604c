-- +goose Up
-- Officers in the field (職員, 第4の4). Who they are stays while they are
-- registered; name and number go when the last case that they sent to is erased.
CREATE TABLE staff_members (
    id            {{.uuid}} PRIMARY KEY,
    agency_id     {{.uuid}} NOT NULL REFERENCES agencies (id),
    unit          text NOT NULL,
    name          text NOT NULL,
    number        text NOT NULL DEFAULT '',
    registered_at {{.ts}} NOT NULL,
    removed_at    {{.ts}},
    erased_at     {{.ts}}
);
CREATE INDEX staff_members_by_unit ON staff_members (agency_id, unit, id);

-- A printed sheet with a registration code: good once, for ten minutes.
CREATE TABLE staff_sheets (
    id                {{.uuid}} PRIMARY KEY,
    agency_id         {{.uuid}} NOT NULL REFERENCES agencies (id),
    member_id         {{.uuid}} NOT NULL REFERENCES staff_members (id),
    code_hash         {{.bytes}} NOT NULL UNIQUE,
    device            text NOT NULL CHECK (device IN ('ISSUED', 'PRIVATE')),
    permission_name   text NOT NULL DEFAULT '',
    permission_post   text NOT NULL DEFAULT '',
    permission_number text NOT NULL DEFAULT '',
    permission_date   text NOT NULL DEFAULT '',
    issued_at         {{.ts}} NOT NULL,
    expires_at        {{.ts}} NOT NULL,
    used_at           {{.ts}}
);
CREATE INDEX staff_sheets_by_member ON staff_sheets (member_id);

-- The standing link of one registered phone (職員用URL, 第2の11). The private key
-- never leaves the phone.
CREATE TABLE staff_links (
    id                {{.uuid}} PRIMARY KEY,
    agency_id         {{.uuid}} NOT NULL REFERENCES agencies (id),
    member_id         {{.uuid}} NOT NULL REFERENCES staff_members (id),
    sheet_id          {{.uuid}} NOT NULL REFERENCES staff_sheets (id),
    device            text NOT NULL CHECK (device IN ('ISSUED', 'PRIVATE')),
    permission_name   text NOT NULL DEFAULT '',
    permission_post   text NOT NULL DEFAULT '',
    permission_number text NOT NULL DEFAULT '',
    permission_date   text NOT NULL DEFAULT '',
    state             text NOT NULL CHECK (state IN ('PENDING', 'ACTIVE', 'SUSPENDED', 'REVOKED', 'EXPIRED')),
    public_key        {{.bytes}} NOT NULL,
    token_hash        {{.bytes}} UNIQUE,
    token_at          {{.ts}},
    match_number      text NOT NULL DEFAULT '',
    match_tries       {{.big}} NOT NULL DEFAULT 0,
    match_until       {{.ts}} NOT NULL,
    rules_version     text NOT NULL,
    rules_language    text NOT NULL,
    rules_accepted_at {{.ts}} NOT NULL,
    system            text NOT NULL DEFAULT '',
    browser           text NOT NULL DEFAULT '',
    registered_at     {{.ts}} NOT NULL,
    matched_at        {{.ts}},
    suspended_at      {{.ts}},
    revoked_at        {{.ts}},
    revoke_reason     text NOT NULL DEFAULT '',
    wiped_at          {{.ts}},
    seen_at           {{.ts}} NOT NULL,
    code_tries        {{.big}} NOT NULL DEFAULT 0,
    code_tried_at     {{.ts}}
);
CREATE INDEX staff_links_by_member ON staff_links (member_id);
CREATE INDEX staff_links_by_state ON staff_links (agency_id, state);

CREATE TABLE staff_nonces (
    hash       {{.bytes}} PRIMARY KEY,
    link_id    {{.uuid}} NOT NULL REFERENCES staff_links (id),
    expires_at {{.ts}} NOT NULL
);
CREATE INDEX staff_nonces_by_link ON staff_nonces (link_id);

-- The agency's access code for officers (第4の4(1)ウ), sealed with a key of the
-- key store.
CREATE TABLE staff_codes (
    agency_id  {{.uuid}} PRIMARY KEY REFERENCES agencies (id),
    sealed     {{.bytes}} NOT NULL,
    issued_at  {{.ts}} NOT NULL,
    expires_at {{.ts}} NOT NULL
);

-- The case that an officer's next video report goes into.
CREATE TABLE staff_assignments (
    member_id     {{.uuid}} PRIMARY KEY REFERENCES staff_members (id),
    agency_id     {{.uuid}} NOT NULL REFERENCES agencies (id),
    case_id       {{.uuid}} NOT NULL REFERENCES cases (id),
    dispatcher_id {{.uuid}} NOT NULL REFERENCES users (id),
    expires_at    {{.ts}} NOT NULL
);

-- An officer's report on the use (第4の4(1)イ).
CREATE TABLE usage_reports (
    id              {{.uuid}} PRIMARY KEY,
    agency_id       {{.uuid}} NOT NULL REFERENCES agencies (id),
    member_id       {{.uuid}} NOT NULL REFERENCES staff_members (id),
    session_id      {{.uuid}} UNIQUE REFERENCES sessions (id),
    timing          text NOT NULL CHECK (timing IN ('BEFORE', 'AFTER')),
    purpose         text NOT NULL,
    late_reason     text NOT NULL DEFAULT '',
    on_behalf_by    {{.uuid}} REFERENCES users (id),
    filed_at        {{.ts}} NOT NULL,
    acknowledged_at {{.ts}},
    acknowledged_by {{.uuid}} REFERENCES users (id),
    erased_at       {{.ts}}
);
CREATE INDEX usage_reports_by_filing ON usage_reports (agency_id, filed_at, id);
CREATE INDEX usage_reports_by_member ON usage_reports (member_id);

-- A report that a staff link leaked (第4の4(2)ウ): officer, supervisor, manager.
CREATE TABLE leak_reports (
    id           {{.uuid}} PRIMARY KEY,
    agency_id    {{.uuid}} NOT NULL REFERENCES agencies (id),
    member_id    {{.uuid}} NOT NULL REFERENCES staff_members (id),
    link_id      {{.uuid}} REFERENCES staff_links (id),
    what         text NOT NULL,
    on_behalf_by {{.uuid}} REFERENCES users (id),
    filed_at     {{.ts}} NOT NULL,
    forwarded_at {{.ts}},
    forwarded_by {{.uuid}} REFERENCES users (id),
    closed_at    {{.ts}},
    closed_by    {{.uuid}} REFERENCES users (id),
    outcome      text NOT NULL DEFAULT '',
    erased_at    {{.ts}}
);
CREATE INDEX leak_reports_by_filing ON leak_reports (agency_id, filed_at, id);
CREATE INDEX leak_reports_by_member ON leak_reports (member_id);

-- A video report of an officer has no link, and nobody has it before a
-- dispatcher takes it; the case may have been opened by the phone itself.
ALTER TABLE cases ALTER COLUMN opened_by DROP NOT NULL;
ALTER TABLE sessions ALTER COLUMN dispatcher_id DROP NOT NULL;
ALTER TABLE sessions ADD COLUMN staff_link_id {{.uuid}} REFERENCES staff_links (id);
ALTER TABLE sessions ADD COLUMN staff_member_id {{.uuid}} REFERENCES staff_members (id);
ALTER TABLE sessions ADD COLUMN declared_at {{.ts}};
ALTER TABLE sessions ADD COLUMN usage_chased_at {{.ts}};
CREATE INDEX sessions_by_staff ON sessions (staff_member_id, requested_at);
ALTER TABLE phones ALTER COLUMN link_id DROP NOT NULL;
ALTER TABLE phones ALTER COLUMN token_hash DROP NOT NULL;
ALTER TABLE phones ADD COLUMN staff_link_id {{.uuid}} REFERENCES staff_links (id);
CREATE INDEX phones_by_staff ON phones (staff_link_id, joined_at);
