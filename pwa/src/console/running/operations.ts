import { graphql } from '$lib/api/graphql';

/** What stands on every page. */
export const noticesQuery = graphql(`
  query Notices {
    notices { id kind ja en beginsAt endsAt }
  }
`);

/** Who was told of something. */
export const noteFragment = graphql(`
  fragment ContactNoteFields on ContactNote {
    id
    contact { id organisation }
    user { id displayName }
    toldAt
    way
    person
    text
  }
`);

/** A fault as it is listed. */
export const outageFragment = graphql(
  `
  fragment OutageFields on Outage {
    id
    part
    alarm
    description
    openedBy { id displayName }
    openedAt
    seen
    lastSeenAt
    closedAt
    closedBy { id displayName }
    outcome
    told { ...ContactNoteFields }
  }
`,
  [noteFragment],
);

export const outagesQuery = graphql(
  `
  query Outages($first: Int!, $after: String, $open: Boolean) {
    outages(first: $first, after: $after, open: $open) {
      nodes { ...OutageFields }
      pageInfo { hasNextPage endCursor }
    }
  }
`,
  [outageFragment],
);

export const openOutageMutation = graphql(
  `
  mutation OpenOutage($input: OpenOutageInput!) {
    openOutage(input: $input) { outage { ...OutageFields } }
  }
`,
  [outageFragment],
);

export const tellOutageMutation = graphql(
  `
  mutation TellOutage($input: TellOutageInput!) {
    tellOutage(input: $input) { outage { ...OutageFields } }
  }
`,
  [outageFragment],
);

export const closeOutageMutation = graphql(
  `
  mutation CloseOutage($input: CloseOutageInput!) {
    closeOutage(input: $input) { outage { ...OutageFields } }
  }
`,
  [outageFragment],
);

export const contactsQuery = graphql(`
  query Contacts {
    contacts { id kind organisation post telephone email }
  }
`);

export const contactNotesQuery = graphql(
  `
  query ContactNotes($first: Int!, $after: String) {
    contactNotes(first: $first, after: $after) {
      nodes { ...ContactNoteFields outage { id part } }
      pageInfo { hasNextPage endCursor }
    }
  }
`,
  [noteFragment],
);

export const addContactMutation = graphql(`
  mutation AddContact($input: AddContactInput!) {
    addContact(input: $input) { contact { id } }
  }
`);

export const removeContactMutation = graphql(`
  mutation RemoveContact($input: RemoveContactInput!) {
    removeContact(input: $input) { contact { id } }
  }
`);

export const noteContactMutation = graphql(`
  mutation NoteContact($input: NoteContactInput!) {
    noteContact(input: $input) { note { id } }
  }
`);

export const maintenancesQuery = graphql(`
  query Maintenances($first: Int!, $after: String) {
    maintenances(first: $first, after: $after) {
      nodes {
        id
        notice
        reason
        beginsAt
        endsAt
        endedAt
        everybodys
        announcedBy { id displayName }
        announcedAt
      }
      pageInfo { hasNextPage endCursor }
    }
  }
`);

export const announceMutation = graphql(`
  mutation AnnounceMaintenance($input: AnnounceMaintenanceInput!) {
    announceMaintenance(input: $input) { maintenance { id } }
  }
`);

export const endMaintenanceMutation = graphql(`
  mutation EndMaintenance($input: EndMaintenanceInput!) {
    endMaintenance(input: $input) { maintenance { id } }
  }
`);

export const coursesQuery = graphql(`
  query Courses {
    courses { id fixed title titleEn audience months }
    trainingGaps { people untrained }
  }
`);

export const traineesQuery = graphql(`
  query Trainees($first: Int!, $after: String, $filter: TraineeFilter) {
    trainees(first: $first, after: $after, filter: $filter) {
      nodes {
        kind
        id
        name
        unit
        role
        untrained
        courses { course { id } trainedOn validUntil valid }
      }
      pageInfo { hasNextPage endCursor }
    }
  }
`);

export const recordTrainingMutation = graphql(`
  mutation RecordTraining($input: RecordTrainingInput!) {
    recordTraining(input: $input) { records { id } }
  }
`);

export const trainingRecordsQuery = graphql(`
  query TrainingRecords($first: Int!, $personID: ID) {
    trainingRecords(first: $first, personID: $personID) {
      nodes { id course trainedOn teacher recordedBy { id displayName } recordedAt withdrawnAt withdrawal }
    }
  }
`);

export const withdrawTrainingMutation = graphql(`
  mutation WithdrawTraining($input: WithdrawTrainingInput!) {
    withdrawTraining(input: $input) { records { id } }
  }
`);

export const addCourseMutation = graphql(`
  mutation AddCourse($input: AddCourseInput!) {
    addCourse(input: $input) { course { id } }
  }
`);

export const retireCourseMutation = graphql(`
  mutation RetireCourse($input: RetireCourseInput!) {
    retireCourse(input: $input) { course { id } }
  }
`);

/** A drill as it is listed. */
export const drillFragment = graphql(`
  fragment DrillFields on Drill {
    id
    title
    startedBy { id displayName }
    startedAt
    endedAt
    ending
    remark
    callers {
      id
      number
      state
      failures
      sessionID
      script { id titleJa titleEn }
      case { id number }
    }
  }
`);

export const drillsQuery = graphql(
  `
  query Drills($first: Int!, $after: String) {
    drills(first: $first, after: $after) {
      nodes { ...DrillFields }
      pageInfo { hasNextPage endCursor }
    }
    drillScripts { id titleJa titleEn class story }
    drillNumbers { id number label }
  }
`,
  [drillFragment],
);

/** The same for a manager, who sees no case (第5の2). */
export const drillsOfManagerQuery = graphql(`
  query DrillsOfManager($first: Int!, $after: String) {
    drills(first: $first, after: $after) {
      nodes {
        id
        title
        startedBy { id displayName }
        startedAt
        endedAt
        ending
        remark
        callers { id number state failures sessionID script { id titleJa titleEn } }
      }
      pageInfo { hasNextPage endCursor }
    }
    drillScripts { id titleJa titleEn class story }
    drillNumbers { id number label }
  }
`);

export const startDrillMutation = graphql(`
  mutation StartDrill($input: StartDrillInput!) {
    startDrill(input: $input) { drill { id } }
  }
`);

export const endDrillMutation = graphql(`
  mutation EndDrill($input: EndDrillInput!) {
    endDrill(input: $input) { drill { id } }
  }
`);

export const resumeCallerMutation = graphql(`
  mutation ResumeDrillCaller($input: ResumeDrillCallerInput!) {
    resumeDrillCaller(input: $input) { drill { id } }
  }
`);

export const addDrillNumberMutation = graphql(`
  mutation AddDrillNumber($input: AddDrillNumberInput!) {
    addDrillNumber(input: $input) { numbers { id } }
  }
`);

export const removeDrillNumberMutation = graphql(`
  mutation RemoveDrillNumber($input: RemoveDrillNumberInput!) {
    removeDrillNumber(input: $input) { numbers { id } }
  }
`);
