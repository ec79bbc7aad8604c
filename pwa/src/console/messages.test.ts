import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildASTSchema, concatAST, isEnumType, parse } from 'graphql';
import { describe, expect, test } from 'vitest';
import { needKinds } from '$lib/domain/needs';
import { messages } from './messages';
import { script } from './script';

const schemaDir = fileURLToPath(new URL('../../../graph/schema', import.meta.url));
const schema = buildASTSchema(
  concatAST(
    readdirSync(schemaDir)
      .filter((name) => name.endsWith('.graphqls'))
      .map((name) => parse(readFileSync(join(schemaDir, name), 'utf8'))),
  ),
);

function valuesOf(name: string): string[] {
  const type = schema.getType(name);
  if (!isEnumType(type)) {
    throw new Error(`${name} is no enum of the schema`);
  }
  return type.getValues().map((value) => value.name);
}

/** Every text below a group, functions called with sample values. */
function textsOf(group: object): string[] {
  return Object.values(group).flatMap((message: unknown) => {
    if (typeof message === 'string') {
      return [message];
    }
    if (typeof message === 'function') {
      return [String((message as (...values: unknown[]) => unknown)(2, 3))];
    }
    return typeof message === 'object' && message !== null ? textsOf(message) : [];
  });
}

describe.each([
  ['ja', messages.ja],
  ['en', messages.en],
])('%s', (locale, words) => {
  const groups: [string, object][] = [
    ['CaseClass', words.class],
    ['Mode', words.mode],
    ['Mode', words.modeShort],
    ['SessionState', words.state],
    ['StallReason', words.stall],
    ['StallReason', words.stallAdvice],
    ['EndReason', words.endReason],
    ['Role', words.role],
    ['UserStatus', words.userStatus],
    ['ActorKind', words.actor],
    ['JournalType', words.entry],
    ['MediaKind', words.session.kind],
    ['Capture', words.session.capture],
    ['MediaState', words.session.fileState],
    ['PreviewState', words.session.preview],
    ['PhoneState', words.session.phoneState],
    ['DeliveryChannel', words.session.channel],
    ['DeliveryPurpose', words.session.purpose],
    ['DeliveryStatus', words.session.deliveryStatus],
    ['SessionState', words.session.waitingFor],
    ['SessionKind', words.statistics.originName],
    ['ReportKind', words.statistics.kindName],
    ['FunnelStage', words.statistics.funnelName],
    ['LookReason', words.supervision.look.reason],
    ['LookReason', words.supervision.look.help],
    ['ViewingPurpose', words.supervision.look.purpose],
    ['SharePurpose', words.supervision.share.purposes],
    ['ShareEnding', words.supervision.share.ending],
  ];

  test.each(groups)('every %s has its word', (type, group) => {
    expect(Object.keys(group).sort()).toEqual(valuesOf(type).sort());
  });

  test('every need has its word', () => {
    expect(Object.keys(words.need).sort()).toEqual([...needKinds].sort());
  });

  test('the words the directive does not use are not used', () => {
    expect(textsOf(words).filter((text) => /取消|取り消|リボーク|キャンセル/.test(text))).toEqual([]);
  });

  test('no text is left in the other language', () => {
    const kana = /[\u3041-\u30fe]/;
    const texts = textsOf(words).map((text) => text.replaceAll(/第[0-9の]+/g, ''));
    const wrong = texts.filter((text) => (locale === 'en' ? kana.test(text) : /^[a-z ,.']+$/i.test(text)));
    expect(wrong.filter((text) => !['SMS', 'OS', 'JST', ''].includes(text))).toEqual([]);
  });
});

describe('the sentences to say', () => {
  test('stand in both languages for every stall and every end', () => {
    for (const language of ['ja', 'en'] as const) {
      expect(Object.keys(script[language].stall).sort()).toEqual(valuesOf('StallReason').sort());
      expect(Object.keys(script[language].end).sort()).toEqual(valuesOf('EndReason').sort());
      expect(Object.keys(script[language].mode).sort()).toEqual(valuesOf('Mode').sort());
      expect(Object.keys(script[language].state).sort()).toEqual(valuesOf('SessionState').sort());
      expect(textsOf(script[language]).filter((text) => text === '')).toEqual([]);
    }
  });

  test('begin with staying on the phone', () => {
    expect(script.ja.speaker).toBe('スピーカーにして、電話は切らないでください');
  });
});
