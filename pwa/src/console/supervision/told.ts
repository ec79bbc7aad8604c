// What a change of dispatcher tells those concerned, wherever they are in the console.
import type { BoardEvent } from '../board/board.svelte';
import { payloadOf } from '../entries';
import { i18n } from '../i18n';

/** What the reader is told of these entries, each sentence once; nothing of what they did themselves. */
export function toldOf(entries: BoardEvent['entries'], me: string): string[] {
  const sentences = entries.flatMap((entry) => {
    if (entry.actor === null || entry.actor.id === me) {
      return [];
    }
    const { from, to } = payloadOf(entry);
    const name = entry.actor.displayName;
    const words = i18n.t.supervision.handOver;
    if (entry.type === 'SESSION_HANDED_OVER' && to === me) {
      return [words.got(name)];
    }
    if (entry.type === 'SESSION_HANDED_OVER' && from === me) {
      return [words.gave(name)];
    }
    return entry.type === 'SESSION_TAKEN_OVER' && from === me ? [words.taken(name)] : [];
  });
  return [...new Set(sentences)];
}
