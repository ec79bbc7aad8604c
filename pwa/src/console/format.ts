// Values in the reader's form. Times are Japan's, whatever the device's zone: the centre is there.
import { i18n } from './i18n';

const zone = 'Asia/Tokyo';

/** The time of day to the second, Japan's. */
export function timeOfDay(at: string): string {
  return new Intl.DateTimeFormat(i18n.locale, {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hour12: false,
    timeZone: zone,
  }).format(new Date(at));
}

/** Date and time to the minute, Japan's. */
export function dayAndTime(at: string): string {
  return new Intl.DateTimeFormat(i18n.locale, {
    month: 'short',
    day: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    hour12: false,
    timeZone: zone,
  }).format(new Date(at));
}

/** A moment of evidence, to the second and marked JST. */
export function evidence(at: string): string {
  return i18n.evidenceTime(new Date(at));
}

/** A due time: date and minute, marked JST. */
export function due(at: string): string {
  return `${dayAndTime(at)} JST`;
}

/** A day of the calendar. */
export function day(date: string): string {
  return new Intl.DateTimeFormat(i18n.locale, { dateStyle: 'medium', timeZone: 'UTC' }).format(new Date(date));
}

/** A size in bytes. */
export function bytes(size: number): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte'] as const;
  let value = size;
  let unit = 0;
  while (value >= 1_000 && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return i18n.number(value, {
    style: 'unit',
    unit: units[unit] ?? 'byte',
    unitDisplay: 'short',
    maximumFractionDigits: value < 10 && unit > 0 ? 1 : 0,
  });
}

/** A length along the ground. */
export function metres(length: number): string {
  return length < 1_000
    ? i18n.number(Math.round(length), { style: 'unit', unit: 'meter', unitDisplay: 'short' })
    : i18n.number(length / 1_000, { style: 'unit', unit: 'kilometer', unitDisplay: 'short', maximumFractionDigits: 1 });
}

/** A share of a whole in percent. */
export function percent(part: number, whole: number): string {
  return i18n.number(whole === 0 ? 0 : part / whole, { style: 'percent', maximumFractionDigits: 0 });
}
