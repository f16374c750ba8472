package record

import "pinward/store"

// code is a coded value of DICOM PS3.15 A.5.1: csd-code, codeSystemName, originalText.
type code struct{ Value, System, Text string }

func dcm(value, text string) code { return code{value, "DCM", text} }

// The families of events, DICOM PS3.16 CID 400, each with its section of PS3.15.
var (
	applicationActivity = dcm("110100", "Application Activity") // A.5.3.1
	auditLogUsed        = dcm("110101", "Audit Log Used")       // A.5.3.2
	dataExport          = dcm("110106", "Export")               // A.5.3.4
	dataImport          = dcm("110107", "Import")               // A.5.3.5
	securityAlert       = dcm("110113", "Security Alert")       // A.5.3.11
	userAuthentication  = dcm("110114", "User Authentication")  // A.5.3.12
	orderRecord         = dcm("110109", "Order Record")         // A.5.3.13
	patientRecord       = dcm("110110", "Patient Record")       // A.5.3.14
	procedureRecord     = dcm("110111", "Procedure Record")     // A.5.3.15
)

// The types of events that DICOM names, PS3.16 CID 401, and the one of a feed, IHE ITI TF-2 3.8.5.1.
var (
	applicationStart = dcm("110120", "Application Start")
	applicationStop  = dcm("110121", "Application Stop")
	login            = dcm("110122", "Login")
	logout           = dcm("110123", "Logout")
	nodeAuth         = dcm("110126", "Node Authentication")
	securityConf     = dcm("110129", "Security Configuration")
	hardwareConf     = dcm("110130", "Hardware Configuration")
	restricted       = dcm("110132", "Use of Restricted Function")
	recordingStopped = dcm("110133", "Audit Recording Stopped")
	recordingStarted = dcm("110134", "Audit Recording Started")
	rolesChanged     = dcm("110136", "Security Roles Changed")
	userChanged      = dcm("110137", "User Security Attributes Changed")
	patientFeed      = code{"ITI-8", "IHE Transactions", "Patient Identity Feed"}
	noType           code
)

// auditEvent is how an action of ours is told to an audit repository. Skip says why it is not.
type auditEvent struct {
	ID   code
	Type code   // besides our own action, which every event has as a type
	Do   string // EventActionCode: C, R, U, D, E
	Skip string
}

// Why some entries are no events for a repository. They are in the JSON lines.
const (
	skipStep   = "a step on the way: the end of it is an event of its own"
	skipUpkeep = "upkeep of the log or the store that touches no record and no right; a bundle proves it"
	skipModem  = "an operator's look at a modem, or its own housekeeping: no patient, no right, no record"
	skipAlarm  = "an alarm about the box itself, and who was told of it: no patient, no right, no record"
	skipDesk   = "an item of the desk's list; what was done about it has entries of its own"
)

// auditEvents maps every action that the log can hold; a test in package daemon holds it against the
// program. An action that is missing (of a store that a newer program wrote) is an Application Activity.
var auditEvents = map[store.Action]auditEvent{
	"daemon.start": {applicationActivity, applicationStart, "E", ""},
	"daemon.stop":  {applicationActivity, applicationStop, "E", ""},

	"audit.search":       {auditLogUsed, noType, "R", ""},
	"audit.export":       {auditLogUsed, noType, "R", ""},
	"audit.open":         {auditLogUsed, noType, "R", ""},
	"report.disclosures": {auditLogUsed, noType, "R", ""},
	"report.activity":    {auditLogUsed, noType, "R", ""},
	"report.incidents":   {auditLogUsed, noType, "R", ""},
	"report.ocr":         {auditLogUsed, noType, "R", ""},
	"incident.opened":    {securityAlert, securityConf, "C", ""},
	"incident.closed":    {securityAlert, securityConf, "U", ""},
	"log.level":          {securityAlert, securityConf, "U", ""},
	"debug.look":         {securityAlert, restricted, "E", ""},
	"audit.again":        {auditLogUsed, noType, "E", ""},
	"audit.hold":         {securityAlert, securityConf, "E", ""},
	"audit.hold.lifting": {securityAlert, securityConf, "E", ""},
	"audit.hold.lifted":  {securityAlert, securityConf, "E", ""},

	"user.login":           {userAuthentication, login, "E", ""},
	"user.logout":          {userAuthentication, logout, "E", ""},
	"client.refused":       {userAuthentication, login, "E", ""},
	"verification.check":   {userAuthentication, noType, "E", ""},
	"verification.approve": {userAuthentication, noType, "E", ""},
	"verification.deny":    {securityAlert, restricted, "E", ""},
	"access.forbidden":     {securityAlert, restricted, "E", ""},
	"hl7.peer.refused":     {securityAlert, nodeAuth, "E", ""},

	"user.create":       {securityAlert, rolesChanged, "E", ""},
	"user.change":       {securityAlert, rolesChanged, "E", ""},
	"user.review":       {applicationActivity, noType, "R", ""},
	"directory.test":    {securityAlert, restricted, "R", ""},
	"user.password":     {securityAlert, userChanged, "E", ""},
	"client.create":     {securityAlert, rolesChanged, "E", ""},
	"client.change":     {securityAlert, rolesChanged, "E", ""},
	"client.key.create": {securityAlert, userChanged, "E", ""},
	"client.key.revoke": {securityAlert, userChanged, "E", ""},

	"site.change":       {securityAlert, securityConf, "E", ""},
	"limits.change":     {securityAlert, securityConf, "E", ""},
	"service.save":      {securityAlert, securityConf, "E", ""},
	"config.apply":      {securityAlert, securityConf, "E", ""},
	"template.withdraw": {securityAlert, securityConf, "E", ""},
	"template.save":     {securityAlert, securityConf, "E", ""},
	"hl7.policy":        {securityAlert, securityConf, "E", ""},
	"retention.change":  {securityAlert, securityConf, "E", ""},
	"hl7.live":          {securityAlert, securityConf, "E", ""},
	"second.asked":      {securityAlert, securityConf, "E", ""},
	"second.agreed":     {securityAlert, securityConf, "E", ""},
	"outbox.pause":      {securityAlert, securityConf, "E", ""},
	"outbox.resume":     {securityAlert, securityConf, "E", ""},
	"modem.forward":     {securityAlert, securityConf, "E", ""},
	"modem.pin":         {securityAlert, securityConf, "E", ""},
	"setup.begun":       {securityAlert, securityConf, "E", ""},
	"setup.finished":    {securityAlert, securityConf, "E", ""},
	"key.unseal":        {securityAlert, securityConf, "E", ""},
	"key.suspend":       {securityAlert, securityConf, "E", ""},
	"key.resume":        {securityAlert, securityConf, "E", ""},
	"key.passphrase":    {securityAlert, securityConf, "E", ""},
	"key.lockout.reset": {securityAlert, securityConf, "E", ""},
	"key.rotate":        {securityAlert, securityConf, "E", ""},
	"key.drill":         {securityAlert, securityConf, "E", ""},

	"sim.set":         {securityAlert, hardwareConf, "E", ""},
	"sim.removed":     {securityAlert, hardwareConf, "E", ""},
	"sim.fitted":      {securityAlert, hardwareConf, "E", ""},
	"sim.swapped":     {securityAlert, hardwareConf, "E", ""},
	"sim.accepted":    {securityAlert, hardwareConf, "E", ""},
	"sim.pin_refused": {securityAlert, hardwareConf, "E", ""},
	"sim.filtered":    {securityAlert, noType, "E", ""},
	"sim.cleared":     {securityAlert, noType, "E", ""},
	"modem.fitted":    {securityAlert, hardwareConf, "E", ""},
	"modem.exchanged": {securityAlert, hardwareConf, "E", ""},

	"clock.stepped":           {securityAlert, noType, "E", ""},
	"sealed.events":           {securityAlert, noType, "E", ""},
	"store.anchor.lost":       {securityAlert, noType, "E", ""},
	"store.anchor.late":       {securityAlert, noType, "E", ""},
	"store.rollback.accepted": {securityAlert, noType, "E", ""},
	"store.segment.damaged":   {securityAlert, noType, "E", ""},
	"store.created":           {securityAlert, recordingStarted, "E", ""},
	"store.restored":          {securityAlert, recordingStarted, "E", ""},
	"store.unwritten":         {securityAlert, recordingStopped, "E", ""}, // on the next chance: since when is in it
	"store.written":           {securityAlert, recordingStarted, "E", ""},
	"store.restore.lifted":    {securityAlert, securityConf, "E", ""},
	"store.signer":            {securityAlert, securityConf, "E", ""},
	"store.key.dropped":       {securityAlert, securityConf, "E", ""},
	"store.root.rotated":      {securityAlert, securityConf, "E", ""},
	"store.backup":            {dataExport, noType, "R", ""},

	"verification.start":  {orderRecord, noType, "C", ""},
	"verification.resend": {orderRecord, noType, "U", ""},
	"verification.cancel": {orderRecord, noType, "D", ""},
	"verification.end":    {orderRecord, noType, "U", ""},
	"verification.purge":  {orderRecord, noType, "D", ""},
	"notice.send":         {orderRecord, noType, "C", ""},
	"notice.move":         {orderRecord, noType, "U", ""},
	"notice.hold":         {orderRecord, noType, "U", ""},
	"notice.answer":       {orderRecord, noType, "U", ""},
	"notice.cancel":       {orderRecord, noType, "D", ""},
	"notice.drop":         {orderRecord, noType, "D", ""},
	"notice.no_calls":     {orderRecord, noType, "U", ""},
	"notice.purge":        {orderRecord, noType, "D", ""},
	"hl7.request":         {orderRecord, noType, "C", ""},
	"hl7.hold":            {orderRecord, noType, "C", ""},
	"hl7.release":         {orderRecord, noType, "U", ""},
	"hl7.drop":            {orderRecord, noType, "D", ""},
	"hl7.breaker":         {securityAlert, noType, "E", ""},

	"message.sent":        {dataExport, noType, "R", ""},
	"message.delivered":   {dataExport, noType, "R", ""},
	"message.undelivered": {dataExport, noType, "R", ""},
	"message.notsent":     {dataExport, noType, "R", ""},
	"message.refused":     {dataExport, noType, "R", ""},
	"message.unknown":     {dataExport, noType, "R", ""},
	"message.expired":     {dataExport, noType, "R", ""},
	"hl7.back.refused":    {dataExport, noType, "R", ""},
	"hl7.wish":            {orderRecord, noType, "U", ""},
	"message.canceled":    {orderRecord, noType, "D", ""},
	"message.unreadable":  {securityAlert, noType, "E", ""},
	"message.purge":       {orderRecord, noType, "D", ""},
	"message.sending":     {Skip: skipStep},
	"message.part":        {Skip: skipStep},
	"message.step":        {Skip: skipStep},

	"hl7.message":   {dataImport, noType, "C", ""}, // of an ADT message: a patient record by a feed
	"hl7.load":      {dataImport, noType, "C", ""},
	"text.received": {dataImport, noType, "C", ""},
	"text.unread":   {dataImport, noType, "C", ""},
	"consent.help":  {dataImport, noType, "C", ""},
	"call.incoming": {dataImport, noType, "C", ""},

	"record.view":          {patientRecord, noType, "R", ""},
	"subject.create":       {patientRecord, noType, "C", ""},
	"subject.update":       {patientRecord, noType, "U", ""},
	"subject.merge":        {patientRecord, noType, "U", ""}, // and one more with D, for the id that is no more
	"subject.dead":         {patientRecord, noType, "U", ""},
	"subject.verify":       {patientRecord, noType, "U", ""},
	"subject.remove":       {patientRecord, noType, "D", ""},
	"contact.flag":         {patientRecord, noType, "U", ""},
	"consent.set":          {patientRecord, noType, "U", ""},
	"consent.stop":         {patientRecord, noType, "U", ""},
	"consent.start":        {patientRecord, noType, "U", ""},
	"consent.doubtful":     {patientRecord, noType, "U", ""},
	"consent.wrong_number": {patientRecord, noType, "U", ""},
	"appointment.book":     {procedureRecord, noType, "C", ""},
	"appointment.move":     {procedureRecord, noType, "U", ""},
	"appointment.update":   {procedureRecord, noType, "U", ""},
	"appointment.end":      {procedureRecord, noType, "D", ""},
	"appointment.purge":    {procedureRecord, noType, "D", ""},
	"work.purge":           {patientRecord, noType, "D", ""},

	"store.anchor":       {Skip: skipUpkeep},
	"store.counter":      {Skip: skipUpkeep},
	"store.rolled":       {Skip: skipUpkeep},
	"store.scrubbed":     {Skip: skipUpkeep},
	"store.key.made":     {Skip: skipUpkeep},
	"text.wiped":         {Skip: skipUpkeep},
	"modem.query":        {Skip: skipModem},
	"modem.reset":        {Skip: skipModem},
	"modem.watch":        {Skip: skipModem},
	"modem.probe":        {Skip: skipModem},
	"modem.balance":      {Skip: skipModem},
	"selftest.start":     {Skip: skipModem},
	"selftest.arrived":   {Skip: skipModem},
	"selftest.end":       {Skip: skipModem},
	"text.own":           {Skip: skipModem},
	"text.unusable":      {Skip: skipModem},
	"maintenance.on":     {applicationActivity, noType, "E", ""},
	"maintenance.off":    {applicationActivity, noType, "E", ""},
	"alarm.raised":       {Skip: skipAlarm},
	"alarm.changed":      {Skip: skipAlarm},
	"alarm.told":         {Skip: skipAlarm},
	"alarm.acknowledged": {Skip: skipAlarm},
	"alarm.cleared":      {Skip: skipAlarm},
	"alarm.test":         {Skip: skipAlarm},
	"alarm.heartbeat":    {Skip: skipAlarm},
	"alarm.forgotten":    {Skip: skipAlarm},
	"alarm.silenced":     {securityAlert, securityConf, "E", ""},
	"alarm.policy":       {securityAlert, securityConf, "E", ""},
	"work.opened":        {Skip: skipDesk},
	"work.closed":        {Skip: skipDesk},

	"acceptance.policy":     {securityAlert, securityConf, "E", ""},
	"acceptance.step":       {Skip: skipModem},
	"acceptance.waived":     {securityAlert, securityConf, "E", ""},
	"acceptance.finished":   {securityAlert, securityConf, "E", ""},
	"acceptance.overridden": {securityAlert, securityConf, "E", ""},

	"decommission.begun":     {securityAlert, securityConf, "E", ""},
	"decommission.modem":     {securityAlert, hardwareConf, "E", ""},
	"decommission.exported":  {Skip: skipStep},
	"decommission.certified": {applicationActivity, applicationStop, "E", ""},

	"backup.verified":  {Skip: skipUpkeep},
	"backup.kept":      {Skip: skipUpkeep},
	"backup.failed":    {Skip: skipUpkeep},
	"backup.pruned":    {Skip: skipUpkeep},
	"backup.rehearsed": {Skip: skipUpkeep},
}
