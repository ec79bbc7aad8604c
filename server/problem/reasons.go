package problem

// Reason is the fine, stable reason of a refusal (extensions.reason).
type Reason string

// The reasons. The table below says the class and the words of each.
const (
	BadInput             Reason = "BAD_INPUT"
	BadID                Reason = "BAD_ID"
	BadCursor            Reason = "BAD_CURSOR"
	Resync               Reason = "RESYNC"
	Unauthenticated      Reason = "UNAUTHENTICATED"
	SignInFailed         Reason = "SIGN_IN_FAILED"
	Suspended            Reason = "USER_SUSPENDED"
	Forbidden            Reason = "FORBIDDEN"
	OriginRefused        Reason = "ORIGIN_REFUSED"
	NotFound             Reason = "NOT_FOUND"
	LinkUnusable         Reason = "LINK_UNUSABLE"
	CodeRequired         Reason = "CODE_REQUIRED"
	CodeWrong            Reason = "CODE_WRONG"
	ConsentOutdated      Reason = "CONSENT_OUTDATED"
	PhoneWaiting         Reason = "PHONE_WAITING"
	PhoneRefused         Reason = "PHONE_REFUSED"
	NonceInvalid         Reason = "NONCE_INVALID"
	SignatureInvalid     Reason = "SIGNATURE_INVALID"
	CheckMissing         Reason = "CHECK_MISSING"
	ReasonMissing        Reason = "REASON_MISSING"
	NumberInvalid        Reason = "NUMBER_INVALID"
	DigitsMismatch       Reason = "DIGITS_MISMATCH"
	EmailInvalid         Reason = "EMAIL_INVALID"
	TooManySends         Reason = "TOO_MANY_SENDS"
	SessionEnded         Reason = "SESSION_ENDED"
	SessionNotOpen       Reason = "SESSION_NOT_OPEN"
	CaseClosed           Reason = "CASE_CLOSED"
	AlreadyExists        Reason = "ALREADY_EXISTS"
	Conflict             Reason = "CONFLICT"
	PublisherPresent     Reason = "PUBLISHER_PRESENT"
	Gone                 Reason = "GONE"
	Withheld             Reason = "WITHHELD"
	Misdirected          Reason = "MISDIRECTED"
	GrantInvalid         Reason = "GRANT_INVALID"
	NoPreview            Reason = "NO_PREVIEW"
	BearerInvalid        Reason = "BEARER_INVALID"
	TooLarge             Reason = "TOO_LARGE"
	QuotaFull            Reason = "QUOTA_FULL"
	UnsupportedType      Reason = "UNSUPPORTED_TYPE"
	FileBroken           Reason = "FILE_BROKEN"
	SizeMismatch         Reason = "SIZE_MISMATCH"
	ChunkTooSmall        Reason = "CHUNK_TOO_SMALL"
	PreconditionFailed   Reason = "PRECONDITION_FAILED"
	PreconditionRequired Reason = "PRECONDITION_REQUIRED"
	MethodNotAllowed     Reason = "METHOD_NOT_ALLOWED"
	SDPRefused           Reason = "SDP_REFUSED"
	RateLimited          Reason = "RATE_LIMITED"
	TooManySubscriptions Reason = "TOO_MANY_SUBSCRIPTIONS"
	QueryTooLarge        Reason = "QUERY_TOO_LARGE"
	QueryInvalid         Reason = "QUERY_INVALID"
	Timeout              Reason = "TIMEOUT"
	DiskFull             Reason = "DISK_FULL"
	ClockDoubted         Reason = "CLOCK_DOUBTED"
	Unavailable          Reason = "UNAVAILABLE"
	Internal             Reason = "INTERNAL"

	ReportStopped    Reason = "REPORT_STOPPED"
	DestinationFixed Reason = "DESTINATION_FIXED"
	// signing in
	ScreenLocked        Reason = "SCREEN_LOCKED"
	PasskeyRefused      Reason = "PASSKEY_REFUSED"
	PasskeySynced       Reason = "PASSKEY_SYNCED"
	PasskeyNotListed    Reason = "PASSKEY_NOT_LISTED"
	EnrolmentRefused    Reason = "ENROLMENT_REFUSED"
	PasswordTooShort    Reason = "PASSWORD_TOO_SHORT"
	PasswordNotAllowed  Reason = "PASSWORD_NOT_ALLOWED"
	ConfirmationMissing Reason = "CONFIRMATION_MISSING"
	ConfirmationRefused Reason = "CONFIRMATION_REFUSED"
	UserRemoved         Reason = "USER_REMOVED"
)

// The reasons around terminals.
const (
	TerminalUnknown      Reason = "TERMINAL_UNKNOWN"
	TerminalNonce        Reason = "TERMINAL_NONCE"
	TerminalDiffers      Reason = "TERMINAL_DIFFERS"
	TerminalSuspended    Reason = "TERMINAL_SUSPENDED"
	TerminalRevoked      Reason = "TERMINAL_REVOKED"
	TerminalNotYours     Reason = "TERMINAL_NOT_YOURS"
	TerminalCodeWrong    Reason = "TERMINAL_CODE_WRONG"
	ProofReplayed        Reason = "PROOF_REPLAYED"
	SelfGiven            Reason = "SELF_GIVEN"
	RegistrationUnusable Reason = "REGISTRATION_UNUSABLE"
	MatchWrong           Reason = "MATCH_WRONG"
	PermissionMissing    Reason = "PERMISSION_MISSING"
	RulesOutdated        Reason = "RULES_OUTDATED"
	DeclarationMissing   Reason = "DECLARATION_MISSING"
	StaffLinkPending     Reason = "STAFF_LINK_PENDING"
	StaffLinkSuspended   Reason = "STAFF_LINK_SUSPENDED"
	StaffLinkRevoked     Reason = "STAFF_LINK_REVOKED"
	AlreadyTaken         Reason = "ALREADY_TAKEN"

	ExportGround       Reason = "EXPORT_GROUND"
	ExportFileUnfit    Reason = "EXPORT_FILE_UNFIT"
	ExportOwnRequest   Reason = "EXPORT_OWN_REQUEST"
	ExportNotDeputy    Reason = "EXPORT_NOT_DEPUTY"
	ExportNotApproved  Reason = "EXPORT_NOT_APPROVED"
	ExportNotPermitted Reason = "EXPORT_NOT_PERMITTED"
	ExportState        Reason = "EXPORT_STATE"
	ExportMismatch     Reason = "EXPORT_MISMATCH"
	PersonUnfit        Reason = "PERSON_UNFIT"
)

// The reasons around settings.
const (
	SettingRefused     Reason = "SETTING_REFUSED"
	SettingsOutdated   Reason = "SETTINGS_OUTDATED"
	PasskeyFirst       Reason = "PASSKEY_FIRST"
	PasswordsOff       Reason = "PASSWORDS_OFF"
	LanguageNotOffered Reason = "LANGUAGE_NOT_OFFERED"
)

// The reasons around supervision and shares.
const (
	LookReasonMissing Reason = "LOOK_REASON_MISSING"
	LawMissing        Reason = "LAW_MISSING"
	NotAColleague     Reason = "NOT_A_COLLEAGUE"
	NothingToHandOver Reason = "NOTHING_TO_HAND_OVER"
	ShareOver         Reason = "SHARE_OVER"
	PhoneNotIssued    Reason = "PHONE_NOT_ISSUED"
)

// The reasons around maintenance, faults, training and drills.
const (
	MaintenanceGround Reason = "MAINTENANCE_GROUND"
	OutageNotTold     Reason = "OUTAGE_NOT_TOLD"
	DrillNumber       Reason = "DRILL_NUMBER"
	DrillRunning      Reason = "DRILL_RUNNING"
	DrillOver         Reason = "DRILL_OVER"
	CourseFixed       Reason = "COURSE_FIXED"
)

type row struct {
	code   Code
	status int // 0: the usual status of the code
	ja, en string
}

var table = map[Reason]row{
	BadInput:             {Invalid, 0, "入力に誤りがあります。内容を確かめてください。", "Something in the input is not valid. Please check it."},
	BadID:                {Invalid, 0, "指定された番号（ID）の形が正しくありません。", "The id is not in the right form."},
	BadCursor:            {Invalid, 0, "続きの位置（カーソル）が正しくありません。最初から読み直してください。", "The cursor is not valid. Read again from the start."},
	Resync:               {Over, 0, "続きの位置が古すぎます。画面を読み直してください。", "The cursor is too old. Load the current state and subscribe again."},
	Unauthenticated:      {Unauthorised, 0, "サインインが必要です。", "Please sign in."},
	SignInFailed:         {Unauthorised, 0, "ユーザIDまたはパスワードが違います。", "The user ID or the password is wrong."},
	Suspended:            {Denied, 0, "この利用者は停止されています。運用管理責任者に連絡してください。", "This user is suspended. Ask the manager."},
	Forbidden:            {Denied, 0, "この操作をする権限がありません。", "You are not permitted to do this."},
	OriginRefused:        {Denied, 0, "このページからの操作は受け付けられません。", "Requests from this page are not accepted."},
	NotFound:             {Missing, 0, "見つかりません。", "Not found."},
	LinkUnusable:         {Over, 0, "このリンクは使えません。電話の警察官に伝えてください。", "This link cannot be used. Tell the officer on the phone."},
	CodeRequired:         {Denied, 0, "アクセスコードを入れてください。", "Enter the access code first."},
	CodeWrong:            {Denied, 0, "アクセスコードが違います。", "The access code is wrong."},
	ConsentOutdated:      {Conflicting, 0, "説明の文が新しくなりました。もう一度読んでください。", "The terms have changed. Please read them again."},
	PhoneWaiting:         {Denied, 0, "この電話機は、警察官の確認を待っています。そのままお待ちください。", "This phone is waiting for the officer to admit it. Please wait."},
	PhoneRefused:         {Denied, 0, "この電話機からは送れません。電話の警察官に伝えてください。", "This phone was not admitted. Tell the officer on the phone."},
	NonceInvalid:         {Unauthorised, 0, "確認の期限が切れました。もう一度お試しください。", "The proof has expired. Please try again."},
	SignatureInvalid:     {Unauthorised, 0, "この電話機を確認できませんでした。", "This phone could not be recognised."},
	CheckMissing:         {Invalid, 0, "確認が済んでいない項目があります。すべて確かめてから送ってください。", "A check is missing. Confirm every item before the link is sent."},
	ReasonMissing:        {Invalid, 0, "理由を書いてください。", "Give the reason."},
	NumberInvalid:        {Invalid, 0, "日本の携帯電話の番号ではありません。番号を確かめてください。", "This is not a Japanese mobile number. Check the number."},
	DigitsMismatch:       {Invalid, 0, "下4桁が違います。通報者にもう一度読んでもらってください。", "The last four digits do not match. Ask the caller to read them again."},
	EmailInvalid:         {Invalid, 0, "メールアドレスの形が正しくありません。", "The e-mail address is not valid."},
	TooManySends:         {Limited, 0, "送信の回数が多すぎます（同じ宛先へは10分に3回まで）。少し待つか、運用管理者に追加の許可を求めてください。", "Too many messages (at most 3 in 10 minutes to one destination). Wait, or ask a supervisor to allow more."},
	SessionEnded:         {Over, 0, "映像通報は終わりました。電話はまだ切らないでください。", "The video report has ended. Please stay on the phone."},
	SessionNotOpen:       {Conflicting, 0, "この映像通報は、いまその操作ができる段階にありません。", "The video report is not at a stage where this can be done."},
	CaseClosed:           {Conflicting, 0, "この事案は終わっています。", "This case is closed."},
	AlreadyExists:        {Conflicting, 0, "同じものがすでにあります。", "It exists already."},
	Conflict:             {Conflicting, 0, "ほかの操作と重なりました。画面を読み直してください。", "It conflicts with another change. Load again."},
	PublisherPresent:     {Conflicting, 0, "別の電話機が映像を送っています。", "Another phone is sending video."},
	Gone:                 {Over, 0, "保存期間が過ぎたため、削除されました。", "It was deleted at the end of its retention."},
	Withheld:             {Over, 0, "保存期間を過ぎたため、表示できません。", "It is past its retention and is withheld."},
	Misdirected:          {Denied, 0, "誤送信として隠されています。運用管理者だけが開けます。", "Hidden as misdirected. Only a supervisor may open it."},
	GrantInvalid:         {Denied, 0, "閲覧の許可が切れました。もう一度開いてください。", "The permission to view has expired. Open it again."},
	NoPreview:            {Conflicting, 0, "受け取りましたが、ここでは表示できません。原本は保存されています。", "It was received, but it cannot be shown here. The original is kept."},
	BearerInvalid:        {Unauthorised, 0, "通信の許可が切れました。もう一度お試しください。", "The permission has expired. Please try again."},
	TooLarge:             {Large, 0, "大きすぎて受け取れません。", "It is too large to be received."},
	QuotaFull:            {Large, 0, "この映像通報で受け取れる量を超えました。", "The limit of this video report is reached."},
	UnsupportedType:      {Invalid, 415, "この形式のファイルは受け取れません。写真か動画を選んでください。", "This kind of file is not accepted. Choose a photo or a video."},
	FileBroken:           {Invalid, 0, "ファイルがこわれています。別のものを選んでください。", "The file is damaged. Choose another."},
	SizeMismatch:         {Conflicting, 0, "知らせた大きさと違います。もう一度送ってください。", "The size differs from what was declared. Send it again."},
	ChunkTooSmall:        {Invalid, 0, "一度に送る量が小さすぎます。", "The pieces are too small."},
	PreconditionFailed:   {Conflicting, 412, "状態が変わりました。もう一度つなぎます。", "The state has changed. Connect again."},
	PreconditionRequired: {Conflicting, 428, "If-Match が必要です。", "If-Match is required."},
	MethodNotAllowed:     {Invalid, 405, "この方法では受け付けられません。", "This method is not accepted."},
	SDPRefused:           {Invalid, 422, "映像の形式が合いません。写真を送ってください。", "The video offer cannot be answered. Send a photo instead."},
	RateLimited:          {Limited, 0, "回数が多すぎます。少し待ってください。", "Too many requests. Wait a moment."},
	TooManySubscriptions: {Limited, 0, "接続が多すぎます。", "Too many subscriptions."},
	QueryTooLarge:        {Invalid, 0, "問い合わせが大きすぎます。", "The query asks for too much."},
	QueryInvalid:         {Invalid, 0, "問い合わせの形が正しくありません。", "The query is not valid."},
	Timeout:              {Down, 504, "時間がかかりすぎたため、やめました。", "It took too long and was stopped."},
	DiskFull:             {Down, 507, "保存場所がいっぱいです。電話の警察官に伝えてください。", "The storage is full. Tell the officer on the phone."},
	ClockDoubted:         {Down, 0, "サーバの時計を確かめています。", "The server's clock is in doubt."},
	Unavailable:          {Down, 0, "いまは受け付けられません。少し待ってもう一度お試しください。", "Not available now. Wait a moment and try again."},
	Internal:             {InternalFailure, 0, "内部の問題が起きました。", "Internal error."},

	ReportStopped:        {Conflicting, 0, "運用管理者がこの映像通報を差し止めました。送信できません。", "The supervisor has stopped this video report. Nothing can be sent."},
	DestinationFixed:     {Conflicting, 0, "リンクを送った宛先は変えられません。宛先が違うときは「誤送信」としてください。", "A link went to another destination already. If that was wrong, report it as mis-sent."},
	TerminalUnknown:      {Unauthorised, 0, "この端末は登録されていません。運用管理責任者に登録コードを発行してもらってください。", "This terminal is not enrolled. Ask the manager for an enrolment code."},
	TerminalNonce:        {Unauthorised, 0, "端末の確認をやり直します。もう一度お試しください。", "The terminal has to prove itself with the newest nonce. Please try again."},
	TerminalDiffers:      {Unauthorised, 0, "別の端末のサインインです。この端末でサインインし直してください。", "This sign-in belongs to another terminal. Sign in on this one."},
	TerminalSuspended:    {Unauthorised, 0, "この端末は停止されています。運用管理者に連絡してください。", "This terminal is suspended. Tell the supervisor."},
	TerminalRevoked:      {Unauthorised, 0, "この端末の登録は抹消されています。", "This terminal was revoked for good."},
	TerminalNotYours:     {Denied, 0, "受理端末を操作できるのは、運用管理者と受理担当者だけです。管理用の端末を使ってください。", "Only supervisors and dispatchers operate receiving terminals. Use an administration desk."},
	TerminalCodeWrong:    {Denied, 0, "登録コードが違うか、期限が切れています。新しいコードを発行してもらってください。", "The enrolment code is wrong or no longer valid. Ask for a new one."},
	ProofReplayed:        {Unauthorised, 0, "同じ端末証明が二度使われました。もう一度お試しください。", "A terminal's proof was used twice. Please try again."},
	SelfGiven:            {Denied, 0, "自分自身に与えることはできません。ほかの運用管理責任者に依頼してください。", "Nobody can give this to themselves. Ask another manager."},
	RegistrationUnusable: {Over, 0, "この登録コードは使えません。新しい用紙を出してもらってください。", "This registration code cannot be used. Ask for a new sheet."},
	MatchWrong:           {Invalid, 0, "番号が違います。職員の電話機に出ている4桁を、もう一度見て入れてください。", "The number is wrong. Look at the four digits on the officer's phone again."},
	PermissionMissing:    {Invalid, 0, "個人所有の携帯電話機には、所属長の許可（職・氏名・年月日・番号）が必要です。", "A private phone needs the permission of the head of unit: post, name, date and number."},
	RulesOutdated:        {Conflicting, 0, "遵守事項をもう一度読み、同意してください。", "Read and accept the rules again."},
	DeclarationMissing:   {Invalid, 0, "二つの申告をしてから始めてください。", "Make both declarations before you start."},
	StaffLinkPending:     {Denied, 0, "登録がまだ終わっていません。番号の確認を受けてください。", "The registration is not finished. Have the number checked."},
	StaffLinkSuspended:   {Denied, 0, "この職員用URLは停止されています。運用管理者に連絡してください。", "This staff link is suspended. Ask the supervisor."},
	StaffLinkRevoked:     {Denied, 0, "この職員用URLは破棄されました。この電話機からは使えません。", "This staff link was revoked. It cannot be used from this phone."},
	AlreadyTaken:         {Conflicting, 0, "ほかの受理担当者がすでに受理しました。", "A colleague has already taken it."},
	ScreenLocked:         {Denied, 0, "画面がロックされています。指紋かパスワードで解除してください。", "The screen is locked. Unlock it with your fingerprint or password."},
	PasskeyRefused:       {Denied, 0, "パスキー（指紋）を確認できませんでした。もう一度触れてください。", "The passkey could not be confirmed. Touch it again."},
	PasskeySynced:        {Invalid, 0, "ほかの機器と同期されるパスキーは使えません。この端末の指紋センサーか、セキュリティキーを使ってください。", "A passkey that is synced to other devices cannot be used. Use this terminal's fingerprint reader or a security key."},
	PasskeyNotListed:     {Invalid, 0, "この認証器は、使ってよいものの一覧にありません。運用管理責任者に確かめてください。", "This authenticator is not on the list of permitted ones. Ask the manager."},
	EnrolmentRefused:     {Denied, 0, "利用者IDか登録コードが違うか、期限が切れています。運用管理責任者に新しいコードを頼んでください。", "The user ID or the enrolment code is wrong, or the code has expired. Ask the manager for a new one."},
	PasswordTooShort:     {Invalid, 0, "パスワードは12文字以上にしてください。", "A password needs at least 12 characters."},
	SettingRefused:       {Invalid, 0, "その値には設定できません。範囲を確かめてください。", "A setting cannot have this value. Check what it may be."},
	SettingsOutdated:     {Conflicting, 0, "ほかの人が設定を変えました。今の設定を見てから、もう一度変えてください。", "Somebody changed the settings meanwhile. Look at them as they are now, and change them again."},
	PasskeyFirst:         {Conflicting, 0, "先に、ご自身の指紋認証（パスキー）を登録してください。", "Register a passkey of your own first."},
	PasswordsOff:         {Denied, 0, "所属の設定により、パスワードは使えません。", "The agency's settings allow no passwords."},
	LanguageNotOffered:   {Invalid, 0, "この言語は、所属の設定では使えません。", "The agency's settings do not offer this language."},
	PasswordNotAllowed:   {Denied, 0, "この利用者には、パスワードの使用が許可されていません。", "This person is not permitted to use a password."},
	ConfirmationMissing:  {Denied, 0, "この操作には、指紋（許可されている人はパスワード）での確認が必要です。", "This needs to be confirmed with your passkey, or with the password where it is allowed."},
	ConfirmationRefused:  {Denied, 0, "確認できませんでした。この操作のために、もう一度確認してください。", "The confirmation was not accepted. Confirm again, for this very act."},
	UserRemoved:          {Conflicting, 0, "この利用者は抹消されています。必要なら、新しく登録してください。", "This person was removed. Register them anew if needed."},

	ExportGround:       {Invalid, 0, "保存の理由を1つだけ選び、法令名・文書番号、事案番号、または理由の記述を書いてください。", "Choose exactly one ground and give what it asks for: law and document number, incident number, or the reason in words."},
	ExportFileUnfit:    {Conflicting, 0, "保存できないファイルが含まれています（受信中、破損、または別の事案）。", "A chosen file cannot be exported: it is still arriving, damaged, or of another case."},
	ExportOwnRequest:   {Denied, 0, "自分が申請した保存、または自分が許可を受ける保存は、自分では許可できません。", "You cannot approve what you requested yourself, or what permits yourself."},
	ExportNotDeputy:    {Denied, 0, "いまは職務代行者に指定されていません。運用管理責任者が許可します。", "You are not the manager's deputy at this time. The manager approves."},
	ExportNotApproved:  {Denied, 0, "許可された申請がありません。運用管理責任者の許可を受けてください。", "There is no approved request. Ask the manager for approval first."},
	ExportNotPermitted: {Denied, 0, "この保存の許可を受けた者ではありません。", "You are not the person who was permitted to write this export."},
	ExportState:        {Conflicting, 0, "この申請は、いまその操作ができる段階にありません。画面を読み直してください。", "The request is not at a stage where this can be done. Load again."},
	ExportMismatch:     {Conflicting, 0, "媒体から読み戻した内容が、送った内容と違います。もう一度書き込んでください。", "What was read back from the medium is not what was sent. Write it again."},
	PersonUnfit:        {Invalid, 0, "その人は指定できません。在籍中の運用管理者または受理担当者を選んでください。", "This person cannot be chosen. Choose an active supervisor or dispatcher."},

	LookReasonMissing: {Denied, 0, "ほかの受理担当者の映像通報です。応援か引継ぎかを選んでください。", "It is another dispatcher's video report. Say whether you support or take over."},
	LawMissing:        {Invalid, 0, "法令名と文書番号を書いてください。", "Give the law and the document number."},
	NotAColleague:     {Invalid, 0, "引き継ぐ相手は、利用中の運用管理者か受理担当者から選んでください。", "Hand over to another supervisor or dispatcher who may sign in."},
	NothingToHandOver: {Conflicting, 0, "引き継ぐ映像通報がありません。", "There is nothing to hand over."},
	ShareOver:         {Over, 0, "この提供は終わりました。", "This share has ended."},
	PhoneNotIssued:    {Denied, 0, "貸与端末だけに見せられます。個人所有の携帯電話機には見せられません。", "Only issued phones may be shown this, never a private one."},

	MaintenanceGround: {Invalid, 0, "警察庁の通知の番号か、やむを得ない事情か、どちらか一つを書いてください。", "Give either the number of the national police's notice or the unavoidable reason, not both."},
	OutageNotTold:     {Conflicting, 0, "障害をだれに、いつ、どの方法で連絡したかを先に記録してください。", "First record when, whom and how you told of the fault."},
	DrillNumber:       {Denied, 0, "訓練のメッセージは、登録された訓練用の番号にだけ送れます。", "Messages of a drill go only to numbers that are listed for drills."},
	DrillRunning:      {Conflicting, 0, "すでに訓練中です。先にその訓練を終えてください。", "A drill is running already. End it first."},
	DrillOver:         {Over, 0, "この訓練は終わっています。", "This drill is over."},
	CourseFixed:       {Conflicting, 0, "この教養は最初から決まっているもので、やめることはできません。", "This course is part of the system and cannot be retired."},
}
