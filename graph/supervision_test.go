package graph_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"

	"genba/policy"
	"genba/server/identity"
)

// supervise adds what supervisors do, and a share with an agency that is neither
// of the two.
func (h *house) supervise(a *agency, is *things) {
	h.t.Helper()
	s := h.who(a, policy.Supervisor)
	is.whisper = h.mustInput(s, "whisper", "WhisperInput", "session { whispers { id } }", map[string]any{"sessionID": is.session, "text": "応援を出した"}).text("whisper", "session", "whispers", "0", "id")
	third, err := h.people.AgencyByCode(h.ctx(), "yamagata")
	if err != nil {
		third = h.createAgency("yamagata", "山形県警察", "Yamagata Prefectural Police").Agency
	}
	is.elsewhere = third.ID
	is.share = h.share(s, is.session, third.ID)
	is.shown = h.showTo(h.who(a, policy.Dispatcher), is.session, is.member)
}

// share gives a video report to another agency.
func (h *house) share(s *visitor, session, agency string) string {
	h.t.Helper()
	return h.mustInput(s, "shareSession", "ShareSessionInput", "share { id }", map[string]any{
		"sessionID": session, "agencyID": agency, "purpose": "INITIAL_RESPONSE", "ground": "県境での追跡", "minutes": 60,
	}).text("shareSession", "share", "id")
}

// showTo lets an own officer watch a video report.
func (h *house) showTo(d *visitor, session, member string) string {
	h.t.Helper()
	return h.mustInput(d, "shareWithOfficers", "ShareWithOfficersInput", "shares { id }", map[string]any{"sessionID": session, "memberIDs": []string{member}}).text("shareWithOfficers", "shares", "0", "id")
}

// supervision is what supervisors do to the video reports of the agency, and
// what dispatchers hand over.
func (y *happy) supervision(v *visitor) {
	t, boss := y.t, y.supervisor()
	session, _ := y.newSession(v)
	a := y.run(boss, "whisper", "session { whispers { id text readAt user { id } } }", map[string]any{"sessionID": session, "text": "後部座席も"})
	require.Equal(t, "後部座席も", a.text("whisper", "session", "whispers", "0", "text"))
	a = y.run(v, "readWhisper", "session { whispers { readAt } }", map[string]any{"whisperID": a.text("whisper", "session", "whispers", "0", "id")})
	require.NotEmpty(t, a.text("readWhisper", "session", "whispers", "0", "readAt"))
	colleague := y.signIn(y.own, "colleague-of-"+strings.ToLower(v.name), policy.Dispatcher)
	a = y.run(v, "handOver", "sessions { id dispatcher { id } }", map[string]any{"toUserID": colleague.actor.ID, "sessionIDs": []string{session}})
	require.JSONEq(t, `[{"id":"`+session+`","dispatcher":{"id":"`+colleague.actor.ID+`"}}]`, toJSON(a.at("handOver", "sessions")))
	a = y.must(v, "{ colleagues { user { id } signedIn open } }", nil)
	require.Contains(t, toJSON(a.at("colleagues")), `{"open":1,"signedIn":true,"user":{"id":"`+colleague.actor.ID+`"}}`)
	a = y.run(boss, "takeOver", "session { dispatcher { id } }", map[string]any{"sessionID": session})
	require.Equal(t, boss.actor.ID, a.text("takeOver", "session", "dispatcher", "id"))
	y.run(boss, "handOver", "sessions { id }", map[string]any{"toUserID": v.actor.ID, "sessionIDs": []string{y.misdirectedBy(colleague)}})

	caseID := y.must(v, `query($id: ID!) { session(id: $id) { case { id } } }`, map[string]any{"id": session}).text("session", "case", "id")
	a = y.run(boss, "writeDutyNote", "note { text user { id } case { id } }", map[string]any{"text": "警察署へ引き継いだ", "caseID": caseID})
	require.Equal(t, caseID, a.text("writeDutyNote", "note", "case", "id"))
	a = y.must(boss, "{ dutyLog(first: 1) { nodes { text } pageInfo { hasNextPage } } openContactTasks { id number { whole } session { id } } }", nil)
	require.Equal(t, "警察署へ引き継いだ", a.text("dutyLog", "nodes", "0", "text"))
	require.Equal(t, true, a.at("openContactTasks", "0", "number", "whole"))
}

func (y *happy) misdirectedBy(d *visitor) string {
	y.t.Helper()
	session, _ := y.newSession(d)
	y.misdirect(d, session)
	return session
}

// sharing gives a video report to the other agency, watches it there, and ends it.
func (y *happy) sharing(v *visitor) {
	t, boss, theirs := y.t, y.supervisor(), y.who(y.other, policy.Supervisor)
	session, phone := y.report1(v)
	media := y.upload(phone)
	require.NoError(t, y.evidence.MakePreviews(y.ctx()))
	require.Contains(t, toJSON(y.must(boss, "{ otherAgencies { id code } }", nil).at("otherAgencies")), y.other.ID)
	a := y.run(boss, "shareSession", "share { id toAgency { code } ground watchers { name } }", map[string]any{
		"sessionID": session, "agencyID": y.other.ID, "purpose": "BY_LAW", "ground": "警察法第60条 福島指第12号", "minutes": 30,
	})
	share := a.text("shareSession", "share", "id")
	require.Equal(t, y.other.Code, a.text("shareSession", "share", "toAgency", "code"))
	require.Equal(t, "/whep/"+session, y.run(theirs, "watchShare", "url token expiresAt", map[string]any{"shareID": share}).text("watchShare", "url"))
	a = y.run(theirs, "openSharedMedia", "url contentType", map[string]any{"shareID": share, "mediaFileID": media})
	require.True(t, strings.HasPrefix(a.text("openSharedMedia", "url"), "/media/"+media+"?grant="))
	a = y.must(v, `query($id: ID!) { session(id: $id) { shares { watchers { name live agency { code } } } viewings { nodes { user { displayName userName } reason } } } }`, map[string]any{"id": session})
	require.JSONEq(t, `[{"name":"supervisor","live":true,"agency":{"code":"miyagi"}},{"name":"supervisor","live":false,"agency":{"code":"miyagi"}}]`, toJSON(a.at("session", "shares", "0", "watchers")))
	require.JSONEq(t, `{"user":{"displayName":"supervisor","userName":""},"reason":null}`, toJSON(a.at("session", "viewings", "nodes", "0")), "a name, and nothing else of the other agency")
	a = y.run(v, "revokeShare", "share { ending endedAt }", map[string]any{"shareID": share})
	require.Equal(t, "REVOKED", a.text("revokeShare", "share", "ending"))
	require.Equal(t, "SHARE_OVER", y.input(theirs, "watchShare", "WatchShareInput", "url", map[string]any{"shareID": share}).reason())

	member := y.mustInput(y.manager(), "registerStaffMember", "RegisterStaffMemberInput", "member { id }", map[string]any{"unit": "福島署", "name": "渡辺"}).text("registerStaffMember", "member", "id")
	require.Equal(t, "PHONE_NOT_ISSUED", y.input(v, "shareWithOfficers", "ShareWithOfficersInput", "shares { id }", map[string]any{"sessionID": session, "memberIDs": []string{member}}).reason())
	officer := y.registerOfficer(y.manager(), member)
	require.JSONEq(t, `[{"name":"渡辺"}]`, toJSON(y.must(v, `{ sharableOfficers(containing: "渡") { name } }`, nil).at("sharableOfficers")))
	a = y.run(v, "shareWithOfficers", "shares { id toOfficer { name } toAgency { code } purpose }", map[string]any{"sessionID": session, "memberIDs": []string{member}, "minutes": 30})
	require.Equal(t, "渡辺", a.text("shareWithOfficers", "shares", "0", "toOfficer", "name"))
	share = a.text("shareWithOfficers", "shares", "0", "id")
	require.Equal(t, share, y.must(officer, "{ sharesReceived { id files { id } } }", nil).text("sharesReceived", "0", "id"))
	require.Equal(t, "/whep/"+session, y.run(officer, "watchShare", "url token expiresAt", map[string]any{"shareID": share}).text("watchShare", "url"))
	y.run(officer, "openSharedMedia", "url contentType", map[string]any{"shareID": share, "mediaFileID": media})
	a = y.must(v, `query($id: ID!) { session(id: $id) { shares { watchers { name unit live } } viewings(first: 1) { nodes { user { id } officer { name } } } } }`, map[string]any{"id": session})
	require.JSONEq(t, `[{"name":"渡辺","unit":"福島署","live":true},{"name":"渡辺","unit":"福島署","live":false}]`, toJSON(a.at("session", "shares", "0", "watchers")))
	require.JSONEq(t, `{"user":null,"officer":{"name":"渡辺"}}`, toJSON(a.at("session", "viewings", "nodes", "0")))
	require.Equal(t, "NOT_FOUND", y.input(theirs, "watchShare", "WatchShareInput", "url", map[string]any{"shareID": share}).reason())
	y.run(v, "revokeShare", "share { ending }", map[string]any{"shareID": share})
	require.Equal(t, "SHARE_OVER", y.input(officer, "openSharedMedia", "OpenSharedMediaInput", "url", map[string]any{"shareID": share, "mediaFileID": media}).reason())
}

// T07: a colleague's video report opens with a reason, and the reason is on record.
func TestOpeningAColleaguesAsksWhy(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		session, phone := h.report1(h.dispatcher())
		media := h.upload(phone)
		require.NoError(t, h.evidence.MakePreviews(h.ctx()))
		colleague := h.signIn(h.own, "kimura", policy.Dispatcher)
		watch := func(v *visitor, reason any) answer {
			return h.input(v, "watch", "WatchInput", "viewing { id reason }", map[string]any{"sessionID": session, "reason": reason})
		}
		open := func(v *visitor, more map[string]any) answer {
			in := map[string]any{"mediaFileID": media}
			for k, value := range more {
				in[k] = value
			}
			return h.input(v, "openMedia", "OpenMediaInput", "mediaFile { name } viewing { reason purpose }", in)
		}
		for _, a := range []answer{watch(colleague, nil), open(colleague, nil)} {
			require.Equal(t, "LOOK_REASON_MISSING", a.reason())
		}
		require.Equal(t, "FORBIDDEN", watch(colleague, "COMMAND").reason())
		require.Equal(t, "SUPPORT", watch(colleague, "SUPPORT").text("watch", "viewing", "reason"))
		require.Equal(t, "COMMAND", watch(h.supervisor(), nil).text("watch", "viewing", "reason"))
		require.Nil(t, watch(h.dispatcher(), nil).at("watch", "viewing", "reason"))
		a := h.must(colleague, `query($id: ID!) { mediaFile(id: $id) { name } }`, map[string]any{"id": media})
		require.Nil(t, a.at("mediaFile", "name"), "what a file says of itself is shown to whoever opened it")
		a = open(colleague, map[string]any{"reason": "HANDOVER"})
		require.JSONEq(t, `{"reason":"HANDOVER","purpose":"INITIAL_RESPONSE"}`, toJSON(a.at("openMedia", "viewing")))
		require.NotEmpty(t, a.text("openMedia", "mediaFile", "name"))
		refused := h.input(colleague, "takeSnapshot", "TakeSnapshotInput", "id", map[string]any{"sessionID": session, "size": 10})
		require.Equal(t, "FORBIDDEN", refused.reason(), "who supports takes nothing")

		day := h.db.Now().Format("2006-01-02")
		a = h.must(h.supervisor(), `query($day: Date!) { looksElsewhere(from: $day, to: $day) { user { id } sessions support command handover } }`, map[string]any{"day": day})
		require.JSONEq(t, `{"user":{"id":"`+colleague.actor.ID+`"},"sessions":1,"support":1,"command":0,"handover":1}`, find(a.at("looksElsewhere"), colleague.actor.ID))
	})
}

// find is the element that names an id.
func find(list any, id string) string {
	for _, v := range list.([]any) {
		if text := toJSON(v); strings.Contains(text, id) {
			return text
		}
	}
	return ""
}

// 第6の3(1): what is looked at by law names the law and the document, in the payload alone.
func TestLookingByLawNamesTheLaw(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		session, phone := h.report1(h.dispatcher())
		media := h.upload(phone)
		require.NoError(t, h.evidence.MakePreviews(h.ctx()))
		h.mustInput(h.dispatcher(), "endSession", "EndSessionInput", "session { state }", map[string]any{"sessionID": session, "reason": "DONE"})
		open := func(in map[string]any) answer {
			in["mediaFileID"] = media
			return h.input(h.dispatcher(), "openMedia", "OpenMediaInput", "viewing { purpose }", in)
		}
		require.Equal(t, "LAW_MISSING", open(map[string]any{"purpose": "BY_LAW", "law": "刑事訴訟法第197条第2項"}).reason())
		require.Equal(t, "LAW_MISSING", open(map[string]any{"purpose": "BY_LAW", "document": "福捜第123号"}).reason())
		a := open(map[string]any{"purpose": "BY_LAW", "law": "刑事訴訟法第197条第2項", "document": "福捜第123号"})
		require.Equal(t, "BY_LAW", a.text("openMedia", "viewing", "purpose"))
		require.Equal(t, "STATISTICS", open(map[string]any{"purpose": "STATISTICS"}).text("openMedia", "viewing", "purpose"))
		a = h.must(h.manager(), `query($id: ID!) { journal(filter: {sessionID: $id, types: [VIEWING_OPENED]}) { nodes { payload } } }`, map[string]any{"id": session})
		require.Contains(t, toJSON(a.at("journal", "nodes", "1")), "福捜第123号")
		require.NotContains(t, toJSON(a.at("journal", "nodes", "0")), "福捜第123号")
	})
}

// T10: a share reveals exactly its session: what it names can be watched and
// opened by it, and every other id of that agency stays unknown.
func TestShareRevealsExactlyItsSession(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		theirs := h.furnish(h.other)
		var hidden things
		hidden.session, hidden.caller = h.report1(h.who(h.other, policy.Dispatcher))
		hidden.media = h.upload(hidden.caller)
		require.NoError(t, h.evidence.MakePreviews(h.ctx()))
		share := h.share(h.who(h.other, policy.Supervisor), theirs.session, h.own.ID)
		s := h.supervisor()

		report := h.must(s, `query($id: ID!) { sharedReport(id: $id) { `+strings.Join([]string{
			"id agency { id code } purpose ground givenAt expiresAt class municipality drill state over requestedAt live",
			"position { latitude longitude accuracy capturedAt } files { id kind capture state preview durationMs acquiredAt dueAt }",
		}, " ")+` } }`, map[string]any{"id": share})
		require.Equal(t, theirs.media, report.text("sharedReport", "files", "0", "id"))
		require.NotNil(t, report.at("sharedReport", "position"))
		list := h.must(s, `{ sharesReceived { id agency { code } files { id } } }`, nil)
		require.Equal(t, share, list.text("sharesReceived", "0", "id"))
		for _, id := range []string{hidden.session, hidden.media, hidden.caller.actor.ID} {
			require.NotContains(t, string(report.body)+string(list.body), id)
		}
		for _, kind := range []string{"case", "session", "phone", "user", "viewing", "task", "whisper"} {
			require.NotContains(t, string(report.body)+string(list.body), theirs.ids()[kind], kind)
		}
		open := func(share, media string) string {
			return h.input(s, "openSharedMedia", "OpenSharedMediaInput", "url", map[string]any{"shareID": share, "mediaFileID": media}).reason()
		}
		require.Empty(t, open(share, theirs.media))
		require.Equal(t, "NOT_FOUND", open(share, hidden.media), "another session's file")
		require.Equal(t, "NOT_FOUND", open(theirs.share, theirs.media), "another agency's share")
		require.Equal(t, "NOT_FOUND", open(identity.NewID(), theirs.media))

		// Everything else answers as if there were no share: every root field, every
		// place where an id can be given, whoever asks.
		for _, v := range []*visitor{h.manager(), s, h.dispatcher(), nobody} {
			for _, root := range roots {
				for _, f := range rootFields(root) {
					if !has(h.policy, v.actor, rightsOf(f.Directives, schema.Types[f.Type.Name()].Directives)) {
						continue
					}
					if f.Name == "challengeStaffPhone" || f.Name == "exportJournal" {
						continue // everybody gets a fresh nonce or address
					}
					for _, slot := range slots(f) {
						if f.Name == "openSharedMedia" && slot == "input.mediaFileID" {
							continue // asked above
						}
						ask := func(id string) answer {
							query, variables := operation(root, f, tree(h.policy, v.actor, f.Type, 2), func(path string, t *ast.Type) any {
								switch {
								case path == slot:
									return id
								case path == "input.secret":
									return theirs.caller.secret
								case t.Name() == "ID" && t.NonNull:
									return identity.NewID()
								}
								return nil
							})
							return h.do(v, query, variables)
						}
						unknown := ask(identity.NewID())
						for _, kind := range []string{"case", "session", "phone", "media", "user", "viewing", "task", "whisper"} {
							require.Equal(t, unknown.withoutIDs(), ask(theirs.ids()[kind]).withoutIDs(), "%s as %s of %s, asked by %s", kind, slot, f.Name, v.name)
						}
					}
				}
			}
		}

		// The dispatchers and the manager of the agency that received it get nothing.
		for _, v := range []*visitor{h.dispatcher(), h.manager()} {
			require.Equal(t, "FORBIDDEN", h.do(v, `query($id: ID!) { sharedReport(id: $id) { id } }`, map[string]any{"id": share}).reason())
		}
		h.mustInput(h.who(h.other, policy.Dispatcher), "revokeShare", "RevokeShareInput", "share { ending }", map[string]any{"shareID": share})
		require.Equal(t, "SHARE_OVER", open(share, theirs.media))
		require.JSONEq(t, `[]`, toJSON(h.must(s, `{ sharesReceived { id } }`, nil).at("sharesReceived")))
	})
}

func TestWhatSupervisorsWriteComesBackAsItWent(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		session, _ := h.newSession(h.dispatcher())
		s := h.supervisor()
		written := func(a answer, text string, limit int, path ...string) {
			switch trimmed := strings.TrimSpace(text); {
			case trimmed == "":
				require.Equal(t, "REASON_MISSING", a.reason(), "%q", text)
			case strings.ContainsRune(text, 0) || len([]rune(trimmed)) > limit:
				require.Equal(t, "BAD_INPUT", a.reason(), "%q", text)
			default:
				require.Equal(t, trimmed, a.text(path...))
			}
		}
		for i, text := range hostileTexts {
			a := h.input(s, "writeDutyNote", "WriteDutyNoteInput", "note { text }", map[string]any{"text": text})
			written(a, text, 2000, "writeDutyNote", "note", "text")
			a = h.input(s, "whisper", "WhisperInput", "session { whispers { text } }", map[string]any{"sessionID": session, "text": text})
			if a.reason() == "" {
				all := a.at("whisper", "session", "whispers").([]any)
				require.Equal(t, strings.TrimSpace(text), all[len(all)-1].(map[string]any)["text"])
			} else {
				written(a, text, 200)
			}
			a = h.input(s, "shareSession", "ShareSessionInput", "share { id ground }", map[string]any{
				"sessionID": session, "agencyID": h.other.ID, "purpose": "INITIAL_RESPONSE", "ground": text, "minutes": 1 + i,
			})
			written(a, text, 500, "shareSession", "share", "ground")
			if a.reason() == "" {
				h.mustInput(s, "revokeShare", "RevokeShareInput", "share { id }", map[string]any{"shareID": a.text("shareSession", "share", "id")})
			}
		}
	})
}
