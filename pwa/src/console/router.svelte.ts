// Which page the address names, and how to get to another one without loading anew.

/** The parts of the page about running the system. */
export const runningParts = ['outages', 'maintenance', 'contacts', 'drills', 'training'] as const;

/** The pages of the console. */
export type Page =
  | { readonly name: 'board' }
  | { readonly name: 'case'; readonly id: string }
  | { readonly name: 'session'; readonly id: string }
  | { readonly name: 'statistics' }
  | { readonly name: 'journal' }
  | { readonly name: 'users'; readonly id?: string }
  | { readonly name: 'enrol' }
  | { readonly name: 'settings' }
  | { readonly name: 'terminals' }
  | { readonly name: 'exports' }
  | { readonly name: 'inbox' }
  | { readonly name: 'wall' }
  | { readonly name: 'duty' }
  | { readonly name: 'shared'; readonly id: string }
  | { readonly name: 'staff' }
  | { readonly name: 'running'; readonly part: (typeof runningParts)[number] }
  | { readonly name: 'outbox' }
  | { readonly name: 'missing' };

/** The page an address names. */
export function pageOf(pathname: string): Page {
  const [root, name, id, ...rest] = pathname.split('/').filter((part) => part !== '');
  if (root === 'outbox' && name === undefined) {
    return { name: 'outbox' };
  }
  if (root !== 'console' || rest.length > 0) {
    return { name: 'missing' };
  }
  if (name === undefined) {
    return { name: 'board' };
  }
  if ((name === 'case' || name === 'session' || name === 'shared') && id !== undefined) {
    return { name, id: decodeURIComponent(id) };
  }
  if (name === 'users' && id !== undefined) {
    return { name, id: decodeURIComponent(id) };
  }
  if (name === 'operations') {
    const part = id === undefined ? 'outages' : runningParts.find((known) => known === id);
    return part === undefined ? { name: 'missing' } : { name: 'running', part };
  }
  const single = ['statistics', 'journal', 'users', 'settings', 'terminals', 'exports', 'enrol', 'inbox', 'wall', 'duty', 'staff'] as const;
  const page = single.find((known) => known === name);
  if (page !== undefined && id === undefined) {
    return { name: page };
  }
  return { name: 'missing' };
}

/** The addresses of the pages. */
export const paths = {
  board: '/console',
  case: (id: string): string => `/console/case/${encodeURIComponent(id)}`,
  session: (id: string): string => `/console/session/${encodeURIComponent(id)}`,
  statistics: '/console/statistics',
  journal: '/console/journal',
  users: '/console/users',
  settings: '/console/settings',
  terminals: '/console/terminals',
  exports: '/console/exports',
  user: (id: string): string => `/console/users/${encodeURIComponent(id)}`,
  newUser: '/console/users/new',
  enrol: '/console/enrol',
  inbox: '/console/inbox',
  wall: '/console/wall',
  duty: '/console/duty',
  shared: (id: string): string => `/console/shared/${encodeURIComponent(id)}`,
  running: (part: (typeof runningParts)[number]): string => `/console/operations/${part}`,
  outbox: '/outbox',
  staff: '/console/staff',
} as const;

/** The address of this page; reading it inside a component follows it. */
export class Router {
  #url = $state.raw(new URL('http://localhost/'));
  #page = $derived(pageOf(this.#url.pathname));
  #state = $state.raw<unknown>(null);

  /** Follows the browser's own back and forward, and links, until the answer is called. */
  start(): () => void {
    this.#read();
    const back = (): void => this.#read();
    addEventListener('popstate', back);
    document.addEventListener('click', this.#click);
    return () => {
      removeEventListener('popstate', back);
      document.removeEventListener('click', this.#click);
    };
  }

  get page(): Page {
    return this.#page;
  }

  /** What stands after the question mark. */
  get search(): URLSearchParams {
    return this.#url.searchParams;
  }

  /** What was handed over with the address. */
  get state(): unknown {
    return this.#state;
  }

  /** Shows another page. replace leaves no way back to this one; state comes along. */
  go(path: string, { replace = false, state = null }: { replace?: boolean; state?: unknown } = {}): void {
    history[replace ? 'replaceState' : 'pushState'](state, '', path);
    this.#read();
    if (!replace) {
      scrollTo(0, 0);
    }
  }

  #read(): void {
    this.#url = new URL(location.href);
    this.#state = history.state as unknown;
  }

  #click = (event: MouseEvent): void => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) {
      return;
    }
    const link = event.target instanceof Element ? event.target.closest('a[href]') : null;
    if (!(link instanceof HTMLAnchorElement) || link.target !== '' || link.origin !== location.origin) {
      return;
    }
    if (pageOf(link.pathname).name !== 'missing') {
      event.preventDefault();
      this.go(link.pathname + link.search);
    }
  };
}
