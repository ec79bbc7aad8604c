package journal

// Type says what happened. The names are stable: they stand in the chain.
type Type string

// The types, by the room that writes them.
const (
	// identity
	SignedIn        Type = "SIGNED_IN"
	SignInRefused   Type = "SIGN_IN_REFUSED"
	SignedOut       Type = "SIGNED_OUT"
	UserRegistered  Type = "USER_REGISTERED"
	AgencyCreated   Type = "AGENCY_CREATED"
	SettingsChanged Type = "SETTINGS_CHANGED"

	// cases
	CaseOpened         Type = "CASE_OPENED"
	CaseUpdated        Type = "CASE_UPDATED"
	CaseDispatched     Type = "CASE_DISPATCHED"
	CaseErased         Type = "CASE_ERASED"
	VideoRequested     Type = "VIDEO_REQUESTED"
	AdvanceReported    Type = "ADVANCE_REPORTED"
	LinkIssued         Type = "LINK_ISSUED"
	LinkOpened         Type = "LINK_OPENED"
	ProofMismatched    Type = "PROOF_MISMATCHED"
	CodeAccepted       Type = "CODE_ACCEPTED"
	CodeRefused        Type = "CODE_REFUSED"
	ConsentGiven       Type = "CONSENT_GIVEN"
	ConsentRefused     Type = "CONSENT_REFUSED"
	PhoneJoined        Type = "PHONE_JOINED"
	PhoneWaiting       Type = "PHONE_WAITING"
	PhoneBound         Type = "PHONE_BOUND"
	PhoneAdmitted      Type = "PHONE_ADMITTED"
	PhoneRefused       Type = "PHONE_REFUSED"
	PhoneResumed       Type = "PHONE_RESUMED"
	PhoneStopped       Type = "PHONE_STOPPED"
	SessionConnected   Type = "SESSION_CONNECTED"
	SessionStalled     Type = "SESSION_STALLED"
	FirstFrameShown    Type = "FIRST_FRAME_SHOWN"
	ModeAsked          Type = "MODE_ASKED"
	LinkRevoked        Type = "LINK_REVOKED"
	LinkExpired        Type = "LINK_EXPIRED"
	SessionMisdirected Type = "SESSION_MISDIRECTED"
	ContactTaskOpened  Type = "CONTACT_TASK_OPENED"
	ContactTaskClosed  Type = "CONTACT_TASK_CLOSED"
	SessionEnded       Type = "SESSION_ENDED"
	SessionExpired     Type = "SESSION_EXPIRED"
	PositionsClosed    Type = "POSITIONS_CLOSED"
	LinkRefused        Type = "LINK_REFUSED"

	// notify
	DeliveryQueued    Type = "DELIVERY_QUEUED"
	DeliverySent      Type = "DELIVERY_SENT"
	DeliveryFailed    Type = "DELIVERY_FAILED"
	DeliveryCancelled Type = "DELIVERY_CANCELLED"

	// evidence
	UploadBegun       Type = "UPLOAD_BEGUN"
	UploadRefused     Type = "UPLOAD_REFUSED"
	MediaReceived     Type = "MEDIA_RECEIVED"
	MediaIncomplete   Type = "MEDIA_INCOMPLETE"
	RecordingStarted  Type = "RECORDING_STARTED"
	RecordingSealed   Type = "RECORDING_SEALED"
	RecordingProgress Type = "RECORDING_PROGRESS"
	PreviewMade       Type = "PREVIEW_MADE"
	PreviewImpossible Type = "PREVIEW_IMPOSSIBLE"
	ViewingOpened     Type = "VIEWING_OPENED"
	ViewingClosed     Type = "VIEWING_CLOSED"
	MediaPurged       Type = "MEDIA_PURGED"
	DueKeyDestroyed   Type = "DUE_KEY_DESTROYED"
	PurgeFailed       Type = "PURGE_FAILED"
	ClockDoubted      Type = "CLOCK_DOUBTED"
	ClockBelieved     Type = "CLOCK_BELIEVED"

	// cases: supervision and shares
	SessionHandedOver Type = "SESSION_HANDED_OVER"
	SessionTakenOver  Type = "SESSION_TAKEN_OVER"
	Whispered         Type = "WHISPERED"
	WhisperRead       Type = "WHISPER_READ"
	DutyNoted         Type = "DUTY_NOTED"
	ShareGiven        Type = "SHARE_GIVEN"
	ShareReceived     Type = "SHARE_RECEIVED"
	ShareEnded        Type = "SHARE_ENDED"
	ShareViewed       Type = "SHARE_VIEWED"

	// live
	LiveStarted    Type = "LIVE_STARTED"
	LiveStalled    Type = "LIVE_STALLED"
	LiveResumed    Type = "LIVE_RESUMED"
	LiveEnded      Type = "LIVE_ENDED"
	LiveUnrecorded Type = "LIVE_UNRECORDED"

	// journal
	RequestRefused     Type = "REQUEST_REFUSED" // whichever room refused it
	RefusalsSummarised Type = "REFUSALS_SUMMARISED"

	// requests, messages and codes
	ReportAcknowledged Type = "REPORT_ACKNOWLEDGED"
	ReportStopped      Type = "REPORT_STOPPED"
	DestinationChanged Type = "DESTINATION_CHANGED"
	CodeRenewed        Type = "CODE_RENEWED"
	CallerCodeReminded Type = "CALLER_CODE_REMINDED"
	DeliveryDelivered  Type = "DELIVERY_DELIVERED"
	SendsAllowed       Type = "SENDS_ALLOWED"
	// identity: people and what they sign in with
	PasskeyRegistered     Type = "PASSKEY_REGISTERED"
	PasskeyRemoved        Type = "PASSKEY_REMOVED"
	PasskeyRefused        Type = "PASSKEY_REFUSED"
	UserChanged           Type = "USER_CHANGED"
	RoleChanged           Type = "ROLE_CHANGED"
	UserSuspended         Type = "USER_SUSPENDED"
	UserReinstated        Type = "USER_REINSTATED"
	UserRemoved           Type = "USER_REMOVED"
	EnrolmentIssued       Type = "ENROLMENT_ISSUED"
	EnrolmentRefused      Type = "ENROLMENT_REFUSED"
	Enrolled              Type = "ENROLLED"
	PasswordAllowed       Type = "PASSWORD_ALLOWED"
	PasswordWithdrawn     Type = "PASSWORD_WITHDRAWN"
	PasswordSealed        Type = "PASSWORD_SEALED"
	SealedPasswordOpened  Type = "SEALED_PASSWORD_OPENED"
	FingerprintTaskOpened Type = "FINGERPRINT_TASK_OPENED"
	FingerprintTaskDone   Type = "FINGERPRINT_TASK_DONE"
	Confirmed             Type = "CONFIRMED"
	ScreenLocked          Type = "SCREEN_LOCKED"
	ScreenUnlocked        Type = "SCREEN_UNLOCKED"
	SessionPassedOn       Type = "SESSION_PASSED_ON"
	NumberRevealed        Type = "NUMBER_REVEALED"
)

// The types around terminals and reception, of identity.
const (
	TerminalCodeIssued Type = "TERMINAL_CODE_ISSUED"
	TerminalEnrolled   Type = "TERMINAL_ENROLLED"
	TerminalPlaced     Type = "TERMINAL_PLACED"
	TerminalSuspended  Type = "TERMINAL_SUSPENDED"
	TerminalReported   Type = "TERMINAL_REPORTED"
	TerminalReinstated Type = "TERMINAL_REINSTATED"
	TerminalRevoked    Type = "TERMINAL_REVOKED"
	TerminalRefused    Type = "TERMINAL_REFUSED"
	ReceptionGranted   Type = "RECEPTION_GRANTED"
	ReceptionEnded     Type = "RECEPTION_ENDED"
	// officers in the field: identity, cases and operations (第4の4)
	StaffMemberRegistered Type = "STAFF_MEMBER_REGISTERED"
	StaffMemberChanged    Type = "STAFF_MEMBER_CHANGED"
	StaffMemberRemoved    Type = "STAFF_MEMBER_REMOVED"
	StaffSheetIssued      Type = "STAFF_SHEET_ISSUED"
	StaffPhoneRegistered  Type = "STAFF_PHONE_REGISTERED"
	StaffMatchRefused     Type = "STAFF_MATCH_REFUSED"
	StaffPhoneMatched     Type = "STAFF_PHONE_MATCHED"
	StaffPhoneResumed     Type = "STAFF_PHONE_RESUMED"
	StaffPhoneWiped       Type = "STAFF_PHONE_WIPED"
	StaffRulesAccepted    Type = "STAFF_RULES_ACCEPTED"
	StaffLinkSuspended    Type = "STAFF_LINK_SUSPENDED"
	StaffLinkRestored     Type = "STAFF_LINK_RESTORED"
	StaffLinkRevoked      Type = "STAFF_LINK_REVOKED"
	StaffLinkExpired      Type = "STAFF_LINK_EXPIRED"
	StaffLinkRefused      Type = "STAFF_LINK_REFUSED"
	StaffCodeRotated      Type = "STAFF_CODE_ROTATED"
	StaffCodeRefused      Type = "STAFF_CODE_REFUSED"
	StaffAssigned         Type = "STAFF_ASSIGNED"
	StaffSessionStarted   Type = "STAFF_SESSION_STARTED"
	StaffSessionTaken     Type = "STAFF_SESSION_TAKEN"
	StaffSessionCut       Type = "STAFF_SESSION_CUT"
	UsageReported         Type = "USAGE_REPORTED"
	UsageChased           Type = "USAGE_CHASED"
	UsageAcknowledged     Type = "USAGE_ACKNOWLEDGED"
	LeakReported          Type = "LEAK_REPORTED"
	LeakForwarded         Type = "LEAK_FORWARDED"
	LeakEscalated         Type = "LEAK_ESCALATED"
	LeakClosed            Type = "LEAK_CLOSED"

	// exports and checkpoints
	ExportRequested    Type = "EXPORT_REQUESTED"
	ExportApproved     Type = "EXPORT_APPROVED"
	ExportRefused      Type = "EXPORT_REFUSED"
	ExportAlarm        Type = "EXPORT_ALARM"
	ExportOpened       Type = "EXPORT_OPENED"
	ExportFileOpened   Type = "EXPORT_FILE_OPENED"
	ExportStreamed     Type = "EXPORT_STREAMED"
	ExportFailed       Type = "EXPORT_FAILED"
	ExportMismatched   Type = "EXPORT_MISMATCHED"
	ExportWritten      Type = "EXPORT_WRITTEN"
	ExportReceipted    Type = "EXPORT_RECEIPTED"
	ExportMediumClosed Type = "EXPORT_MEDIUM_CLOSED"
	ExportFileLost     Type = "EXPORT_FILE_LOST"
	ExportExpired      Type = "EXPORT_EXPIRED"
	DeputyAppointed    Type = "DEPUTY_APPOINTED"
	DeputyEnded        Type = "DEPUTY_ENDED"
	CheckpointUnsent   Type = "CHECKPOINT_UNSENT"
	CheckpointSent     Type = "CHECKPOINT_SENT"

	// settings, audit and agencies
	DataCapReached  Type = "DATA_CAP_REACHED"
	JournalVerified Type = "JOURNAL_VERIFIED"
	JournalExported Type = "JOURNAL_EXPORTED"
)

// The types of running the system: maintenance, faults, training, drills.
const (
	MaintenanceAnnounced Type = "MAINTENANCE_ANNOUNCED"
	MaintenanceEnded     Type = "MAINTENANCE_ENDED"
	OutageOpened         Type = "OUTAGE_OPENED"
	OutageClosed         Type = "OUTAGE_CLOSED"
	ContactAdded         Type = "CONTACT_ADDED"
	ContactRemoved       Type = "CONTACT_REMOVED"
	ContactMade          Type = "CONTACT_MADE"
	CourseAdded          Type = "COURSE_ADDED"
	CourseRetired        Type = "COURSE_RETIRED"
	TrainingRecorded     Type = "TRAINING_RECORDED"
	TrainingWithdrawn    Type = "TRAINING_WITHDRAWN"
	DrillStarted         Type = "DRILL_STARTED"
	DrillEnded           Type = "DRILL_ENDED"
	DrillPlayed          Type = "DRILL_PLAYED"
	DrillPaused          Type = "DRILL_PAUSED"
	DrillResumed         Type = "DRILL_RESUMED"
	DrillNumberAdded     Type = "DRILL_NUMBER_ADDED"
	DrillNumberRemoved   Type = "DRILL_NUMBER_REMOVED"
)

// Types lists every type, as the schema's enum does.
var Types = []Type{
	SignedIn, SignInRefused, SignedOut, UserRegistered, AgencyCreated, SettingsChanged,
	CaseOpened, CaseUpdated, CaseDispatched, CaseErased, VideoRequested, AdvanceReported, LinkIssued, LinkOpened,
	ProofMismatched, CodeAccepted, CodeRefused, ConsentGiven, ConsentRefused, PhoneJoined, PhoneWaiting, PhoneBound,
	PhoneAdmitted, PhoneRefused, PhoneResumed, PhoneStopped, SessionConnected, SessionStalled, FirstFrameShown, ModeAsked,
	LinkRevoked, LinkExpired, SessionMisdirected, ContactTaskOpened, ContactTaskClosed, SessionEnded, SessionExpired, PositionsClosed, LinkRefused,
	DeliveryQueued, DeliverySent, DeliveryFailed, DeliveryCancelled,
	UploadBegun, UploadRefused, MediaReceived, MediaIncomplete, RecordingStarted, RecordingSealed, RecordingProgress,
	PreviewMade, PreviewImpossible, ViewingOpened, ViewingClosed, MediaPurged, DueKeyDestroyed, PurgeFailed, ClockDoubted, ClockBelieved,
	LiveStarted, LiveStalled, LiveResumed, LiveEnded, LiveUnrecorded,
	RequestRefused, RefusalsSummarised,
	ReportAcknowledged, ReportStopped, DestinationChanged, CodeRenewed, CallerCodeReminded, DeliveryDelivered, SendsAllowed,
	TerminalCodeIssued, TerminalEnrolled, TerminalPlaced, TerminalSuspended, TerminalReported, TerminalReinstated, TerminalRevoked, TerminalRefused,
	ReceptionGranted, ReceptionEnded,
	StaffMemberRegistered, StaffMemberChanged, StaffMemberRemoved, StaffSheetIssued, StaffPhoneRegistered, StaffMatchRefused, StaffPhoneMatched,
	StaffPhoneResumed, StaffPhoneWiped, StaffRulesAccepted, StaffLinkSuspended, StaffLinkRestored, StaffLinkRevoked, StaffLinkExpired,
	StaffLinkRefused, StaffCodeRotated, StaffCodeRefused, StaffAssigned, StaffSessionStarted, StaffSessionTaken, StaffSessionCut,
	UsageReported, UsageChased, UsageAcknowledged, LeakReported, LeakForwarded, LeakEscalated, LeakClosed,
	PasskeyRegistered, PasskeyRemoved, PasskeyRefused, UserChanged, RoleChanged, UserSuspended, UserReinstated, UserRemoved, EnrolmentIssued, EnrolmentRefused, Enrolled,
	PasswordAllowed, PasswordWithdrawn, PasswordSealed, SealedPasswordOpened, FingerprintTaskOpened, FingerprintTaskDone, Confirmed, ScreenLocked, ScreenUnlocked, SessionPassedOn, NumberRevealed,
	ExportRequested, ExportApproved, ExportRefused, ExportAlarm, ExportOpened, ExportFileOpened, ExportStreamed,
	ExportFailed, ExportMismatched, ExportWritten, ExportReceipted, ExportMediumClosed, ExportFileLost, ExportExpired,
	DeputyAppointed, DeputyEnded, CheckpointUnsent, CheckpointSent,
	SessionHandedOver, SessionTakenOver, Whispered, WhisperRead, DutyNoted, ShareGiven, ShareReceived, ShareEnded, ShareViewed,
	DataCapReached, JournalVerified, JournalExported,
	MaintenanceAnnounced, MaintenanceEnded, OutageOpened, OutageClosed, ContactAdded, ContactRemoved, ContactMade, CourseAdded, CourseRetired,
	TrainingRecorded, TrainingWithdrawn, DrillStarted, DrillEnded, DrillPlayed, DrillPaused, DrillResumed, DrillNumberAdded, DrillNumberRemoved,
}
