// A program at the console's interface, as the README describes one: it holds the key of a terminal in a file and proves
// it on each request (DPoP, RFC 9449).
import assert from 'node:assert/strict';
import { createPrivateKey, randomUUID, sign } from 'node:crypto';

const encode = (text) => Buffer.from(text).toString('base64url');

/** A program on the terminal of demo.json; nothing is signed in yet. */
export function program(server) {
  const { baseURL, demo } = server;
  const key = createPrivateKey(demo.terminal.privateKey);
  let nonce = '';
  let cookie = '';

  const proof = () => {
    const header = { typ: 'dpop+jwt', alg: 'ES256', kid: demo.terminal.id };
    const claims = { jti: randomUUID(), htm: 'POST', htu: `${baseURL}/graphql`, iat: Math.floor(Date.now() / 1000), nonce };
    const text = `${encode(JSON.stringify(header))}.${encode(JSON.stringify(claims))}`;
    return `${text}.${sign('sha256', text, { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  };

  const send = async (query, variables) => {
    const answer = await fetch(`${baseURL}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/graphql-response+json',
        origin: baseURL,
        'genba-actor': 'console',
        dpop: proof(),
        ...(cookie ? { cookie } : {}),
      },
      body: JSON.stringify({ query, variables }),
    });
    nonce = answer.headers.get('dpop-nonce') ?? nonce;
    cookie = answer.headers.getSetCookie()[0]?.split(';')[0] ?? cookie;
    return answer.json();
  };

  return {
    /** Runs an operation and answers its data. */
    async ask(query, variables = {}) {
      let answer = await send(query, variables);
      if (answer.errors?.[0].extensions.reason === 'TERMINAL_NONCE') {
        answer = await send(query, variables);
      }
      assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
      return answer.data;
    },

    /** Signs in with the sign-in that the demonstration made for the role. */
    async signIn(role) {
      const { userName, password } = demo.users.find((user) => user.role === role);
      await this.ask('mutation ($in: SignInInput!) { signIn(input: $in) { me { kind } } }', { in: { userName, password } });
      return this;
    },

    /** A code by which a browser becomes a terminal. */
    async code(kind, number, place = '') {
      const { issueTerminalCode } = await this.ask(
        'mutation ($in: IssueTerminalCodeInput!) { issueTerminalCode(input: $in) { code } }',
        { in: { kind, number, place } },
      );
      return issueTerminalCode.code;
    },
  };
}
