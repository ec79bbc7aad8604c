// What a file says of itself beside what the call says (第4の3(1)). It measures and never judges.

/** A point on the earth, in degrees. */
export interface Point {
  readonly latitude: number;
  readonly longitude: number;
}

/** The mean radius of the earth, in metres. */
const earthRadius = 6_371_008.8;

/** The distance of two points along the ground, in metres. */
export function distance(a: Point, b: Point): number {
  const rad = Math.PI / 180;
  const dLat = (b.latitude - a.latitude) * rad;
  const dLon = (b.longitude - a.longitude) * rad;
  const h =
    Math.sin(dLat / 2) ** 2 +
    Math.cos(a.latitude * rad) * Math.cos(b.latitude * rad) * Math.sin(dLon / 2) ** 2;
  return 2 * earthRadius * Math.asin(Math.min(1, Math.sqrt(h)));
}

/** A moment a file claims. zoned: the file names its zone; else it was read as Japan's. */
export interface ClaimedMoment {
  readonly at: Date;
  readonly zoned: boolean;
}

/**
 * Reads a claimed moment as files write it, "2026-11-23T09:10:11" or a camera's "2026:11:23 09:10:11", with or without a
 * zone; null where it cannot be read.
 */
export function claimedMoment(text: string): ClaimedMoment | null {
  const moment = text.replace(/^(\d{4}):(\d\d):(\d\d)/, '$1-$2-$3').replace(' ', 'T');
  const zoned = /T.*(?:Z|[+-]\d\d:?\d\d)$/.test(moment);
  const at = new Date(zoned ? moment : `${moment}+09:00`);
  return Number.isNaN(at.getTime()) ? null : { at, zoned };
}

/** From which difference on a claim is marked: time in ms, place in metres. */
export const notable = { time: 10 * 60_000, place: 500 } as const;

/** The text of a point for copying: latitude,longitude with six decimals (11 cm). */
export function pointText(point: Point): string {
  return `${point.latitude.toFixed(6)},${point.longitude.toFixed(6)}`;
}
