// One video report: where the caller stands, what arrives, and everything the dispatcher does to it.
import type { ResultOf, VariablesOf } from '$lib/api/graphql';
import type { Api } from '$lib/api/client';
import { follow, type FollowState } from '$lib/api/follow';
import { isOver } from '$lib/domain/stages';
import { markDispatchedMutation } from '../operations';
import { type Entry, Timeline } from '../timeline.svelte';
import {
  admitPhoneMutation,
  askModeMutation,
  closeContactTaskMutation,
  endSessionMutation,
  reportFirstFrameMutation,
  reportMisdirectedMutation,
  revokeLinkMutation,
  sessionFilesQuery,
  sessionQuery,
  type sessionFragment,
  sessionSubscription,
  sessionTimelineQuery,
} from './operations';

/** A video report as its page shows it. */
export type SessionDetails = ResultOf<typeof sessionFragment>;

/** A file in its list. */
export type MediaFile = SessionDetails['media']['nodes'][number];

/** A phone that joined. */
export type Phone = SessionDetails['phones'][number];

/** Why it was ended. */
export type EndReason = VariablesOf<typeof endSessionMutation>['input']['reason'];

/** What the caller is asked for. */
export type Mode = SessionDetails['asked'];

/** What came while the page was open, for those who listen. */
export interface Arrival {
  readonly kind: 'files' | 'position' | 'frame' | 'live' | 'stall' | 'code' | 'stopped';
  readonly count: number;
  readonly stall?: NonNullable<SessionDetails['stall']>;
}

/** How live video stands: none, coming in, standing still, or gone after it had stood still. */
export type LiveStanding = 'off' | 'on' | 'stalled' | 'lost';

/** How live video stands by the record, newest entry first; incoming is the server's own word where it says nothing. */
export function liveStanding(entries: readonly Pick<Entry, 'type'>[], incoming: boolean): LiveStanding {
  if (incoming) {
    return 'on';
  }
  const last = entries.filter((entry) => entry.type in liveTypes);
  switch (last[0]?.type) {
    case 'LIVE_STALLED':
      return 'stalled';
    case 'LIVE_ENDED':
      return last[1]?.type === 'LIVE_STALLED' ? 'lost' : 'off';
    default:
      return 'off';
  }
}

const liveTypes = { LIVE_STARTED: true, LIVE_STALLED: true, LIVE_RESUMED: true, LIVE_ENDED: true };

/** How a session page stands. */
export type SessionStanding = 'loading' | 'shown' | 'missing';

/** The state of a session page. */
export class SessionView {
  readonly id: string;
  readonly timeline = new Timeline();
  readonly #api: Api;
  readonly #onError: (error: unknown) => void;
  readonly #onArrival: (arrival: Arrival) => void;
  readonly #onLive: (live: LiveStanding) => void;
  #details = $state.raw<SessionDetails | null>(null);
  #older = $state.raw<readonly MediaFile[]>([]);
  #filesEnd = $state<string | null>(null);
  #seen = $state.raw<ReadonlySet<string>>(new Set());
  #standing = $state<SessionStanding>('loading');
  #state = $state<FollowState>('loading');
  #acting = $state(false);
  #live = $state<LiveStanding>('off');
  #events = 0;
  readonly #stop: () => void;

  constructor(
    id: string,
    api: Api,
    onError: (error: unknown) => void,
    onArrival: (arrival: Arrival) => void = () => undefined,
    /** Live video began to come in, stands still, or ended; told of the first standing too. */
    onLive: (live: LiveStanding) => void = () => undefined,
  ) {
    this.id = id;
    this.#api = api;
    this.#onError = onError;
    this.#onArrival = onArrival;
    this.#onLive = onLive;
    this.#stop = follow<ResultOf<typeof sessionSubscription>>({
      load: () => this.#load(),
      subscribe: (after, sink) => api.subscribe(sessionSubscription, { id, after }, sink),
      cursorOf: (event) => event.sessionChanged.cursor,
      apply: ({ sessionChanged }) => {
        this.#events += 1;
        // The record first: it says why live video is gone.
        this.timeline.add(sessionChanged.entries);
        this.take(sessionChanged.session);
      },
      onState: (state, refusal) => {
        this.#state = state;
        if (refusal && !this.#details) {
          this.#standing = 'missing';
        }
      },
    });
  }

  /** Stops keeping up. */
  stop(): void {
    this.#stop();
  }

  get details(): SessionDetails | null {
    return this.#details;
  }

  get standing(): SessionStanding {
    return this.#standing;
  }

  /** How it stands with the server. */
  get state(): FollowState {
    return this.#state;
  }

  /** Whether something is being done to it. */
  get acting(): boolean {
    return this.#acting;
  }

  /** How live video stands, as the server sees it. */
  get live(): LiveStanding {
    return this.#live;
  }

  /** Whether nothing more can come. */
  get over(): boolean {
    return this.#details !== null && isOver(this.#details);
  }

  /** The files, newest first. */
  get files(): readonly MediaFile[] {
    const nodes = this.#details?.media.nodes ?? [];
    const newest = new Set(nodes.map((file) => file.id));
    return [...nodes, ...this.#older.filter((file) => !newest.has(file.id))];
  }

  /** Whether there are older files than those read. */
  get hasMoreFiles(): boolean {
    return this.#filesEnd !== null;
  }

  /** Whether a file came while the page was open and was not looked at since. */
  isNew(file: MediaFile): boolean {
    return !this.#seen.has(file.id);
  }

  /** A file was looked at. */
  saw(id: string): void {
    this.#seen = new Set([...this.#seen, id]);
  }

  /** Takes the video report as it stands now, and tells of what has come. */
  take(next: SessionDetails): void {
    const before = this.#details;
    this.#details = next;
    this.#tellLive();
    if (!before) {
      return;
    }
    const known = new Set(before.media.nodes.filter(isHere).map((file) => file.id));
    const files = next.media.nodes.filter((file) => isHere(file) && !known.has(file.id)).length;
    if (files > 0) {
      this.#onArrival({ kind: 'files', count: files });
    }
    if (next.lastPosition && !before.lastPosition) {
      this.#onArrival({ kind: 'position', count: 1 });
    }
    if (next.live && !before.live) {
      this.#onArrival({ kind: 'live', count: 1 });
    }
    if (next.firstFrameAt && !before.firstFrameAt) {
      this.#onArrival({ kind: 'frame', count: 1 });
    }
    if (next.link && next.link.id === before.link?.id && next.link.codeTriesLeft < before.link.codeTriesLeft) {
      this.#onArrival({ kind: 'code', count: next.link.codeTriesLeft });
    } else if (next.report?.state === 'STOPPED' && before.report?.state !== 'STOPPED') {
      this.#onArrival({ kind: 'stopped', count: 1 });
    } else if (next.stall && next.stall !== before.stall) {
      this.#onArrival({ kind: 'stall', count: 1, stall: next.stall });
    }
  }

  /** A link was sent: shows it unless its event has come already. */
  sent(answer: SessionDetails): void {
    if (answer.link?.id !== this.#details?.link?.id) {
      this.take(answer);
    }
  }

  /** Does what another part of the page asks for, one thing at a time, and shows what it answers. */
  perform(act: () => Promise<SessionDetails>): Promise<void> {
    return this.#act(act);
  }

  /** Asks the caller for another way of helping. */
  askMode(mode: Mode): Promise<void> {
    return this.#act(async () => {
      const { askMode } = await this.#api.ask(askModeMutation, { input: { sessionID: this.id, mode } });
      return askMode.session;
    });
  }

  /** Lets a second phone in, or not. */
  admit(phoneID: string, admit: boolean): Promise<void> {
    return this.#act(async () => {
      const { admitPhone } = await this.#api.ask(admitPhoneMutation, { input: { phoneID, admit } });
      return admitPhone.session;
    });
  }

  /** Destroys the link (第4の3(3)). */
  revoke(): Promise<void> {
    return this.#act(async () => {
      const { revokeLink } = await this.#api.ask(revokeLinkMutation, { input: { sessionID: this.id } });
      return revokeLink.session;
    });
  }

  /** Handles it as mis-sent (第4の3(3)). */
  misdirected(): Promise<void> {
    return this.#act(async () => {
      const { reportMisdirected } = await this.#api.ask(reportMisdirectedMutation, {
        input: { sessionID: this.id },
      });
      return reportMisdirected.session;
    });
  }

  /** The wrong recipient was told, or cannot be (第4の3(3)). */
  closeTask(taskID: string, outcome: string): Promise<void> {
    return this.#act(async () => {
      const { closeContactTask } = await this.#api.ask(closeContactTaskMutation, { input: { taskID, outcome } });
      return closeContactTask.session;
    });
  }

  /** Ends it (第4の1(3), 第4の3(2)). */
  end(reason: EndReason): Promise<void> {
    return this.#act(async () => {
      const { endSession } = await this.#api.ask(endSessionMutation, { input: { sessionID: this.id, reason } });
      return endSession.session;
    });
  }

  /** Marks that help was sent. */
  dispatched(): Promise<void> {
    return this.#act(async () => {
      const details = this.#details;
      if (!details || details.case.dispatchedAt) {
        return undefined;
      }
      const { markDispatched } = await this.#api.ask(markDispatchedMutation, { input: { caseID: details.case.id } });
      if (this.#details) {
        this.#details = {
          ...this.#details,
          case: { ...this.#details.case, dispatchedAt: markDispatched.case.dispatchedAt },
        };
      }
      return undefined;
    });
  }

  /** Says that this console has decoded the first frame. Said again where it was lost, with the next picture. */
  async firstFrame(): Promise<void> {
    const details = this.#details;
    if (!details || details.firstFrameAt) {
      return;
    }
    try {
      const { reportFirstFrame } = await this.#api.ask(reportFirstFrameMutation, { input: { sessionID: this.id } });
      if (this.#details && !this.#details.firstFrameAt) {
        this.take({ ...this.#details, firstFrameAt: reportFirstFrame.session.firstFrameAt });
      }
    } catch (error) {
      this.#onError(error);
    }
  }

  /** Reads older entries of the record. */
  async olderEntries(): Promise<void> {
    try {
      const answer = await this.#api.ask(sessionTimelineQuery, { id: this.id, after: this.timeline.end });
      if (answer.session) {
        this.timeline.older(answer.session.timeline);
      }
    } catch (error) {
      this.#onError(error);
    }
  }

  /** Reads older files. */
  async olderFiles(): Promise<void> {
    try {
      const answer = await this.#api.ask(sessionFilesQuery, { id: this.id, after: this.#filesEnd });
      if (answer.session) {
        const { nodes, pageInfo } = answer.session.media;
        this.#older = [...this.#older, ...nodes];
        this.#seen = new Set([...this.#seen, ...nodes.map((file) => file.id)]);
        this.#filesEnd = pageInfo.hasNextPage ? pageInfo.endCursor : null;
      }
    } catch (error) {
      this.#onError(error);
    }
  }

  #tellLive(): void {
    const live = this.over ? 'off' : liveStanding(this.timeline.entries, this.#details?.live ?? false);
    if (live !== this.#live) {
      this.#live = live;
      this.#onLive(live);
    }
  }

  async #load(): Promise<string> {
    const { session } = await this.#api.ask(sessionQuery, { id: this.id });
    if (!session) {
      this.#standing = 'missing';
      this.#stop();
      return '';
    }
    const first = this.#details === null;
    this.timeline.begin(session.timeline);
    this.take(session);
    if (first) {
      this.#seen = new Set(session.media.nodes.map((file) => file.id));
      this.#filesEnd = session.media.pageInfo.hasNextPage ? session.media.pageInfo.endCursor : null;
    }
    this.#standing = 'shown';
    return session.cursor;
  }

  /** Does something. Its answer is shown unless an event came meanwhile, which may be the newer word. */
  async #act(act: () => Promise<SessionDetails | undefined>): Promise<void> {
    if (this.#acting) {
      return;
    }
    this.#acting = true;
    const events = this.#events;
    try {
      const answer = await act();
      if (answer && events === this.#events) {
        this.take(answer);
      }
    } catch (error) {
      this.#onError(error);
    } finally {
      this.#acting = false;
    }
  }
}

function isHere(file: MediaFile): boolean {
  return file.state !== 'RECEIVING';
}
