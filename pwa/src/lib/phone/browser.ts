// What the phone runs, as far as the caller's next step depends on it.

/** The phone's system. */
export type System = 'ios' | 'android' | 'other';

/** The browser the page is in. app: a browser inside another app. */
export type BrowserKind = 'safari' | 'chrome' | 'samsung' | 'firefox' | 'app' | 'other';

/** What the phone runs. */
export interface Browser {
  readonly system: System;
  readonly kind: BrowserKind;
  /** The app the page is inside of, where its name is known. */
  readonly app: string;
  /** For the dispatcher's advice, such as "iOS 17.5". */
  readonly systemLabel: string;
  /** For the dispatcher's advice, such as "Safari 17" or "LINE". */
  readonly browserLabel: string;
}

const apps: readonly (readonly [RegExp, string])[] = [
  [/\bLine\//i, 'LINE'],
  [/\bFBAN|FBAV|FB_IAB/, 'Facebook'],
  [/\bInstagram\b/, 'Instagram'],
  [/\bYJApp|\bYJ-?MB|YahooJapan|jp\.co\.yahoo/i, 'Yahoo! JAPAN'],
  [/\bTwitter/, 'X'],
  [/musical_ly|BytedanceWebview|TikTok/, 'TikTok'],
  [/MicroMessenger/, 'WeChat'],
  [/KAKAOTALK/, 'KakaoTalk'],
  [/SmartNews/, 'SmartNews'],
];

const browsers: readonly (readonly [RegExp, BrowserKind, string])[] = [
  [/\b(?:SamsungBrowser)\/(\d+)/, 'samsung', 'Samsung Internet'],
  [/\b(?:EdgA|EdgiOS|Edg)\/(\d+)/, 'chrome', 'Edge'],
  [/\b(?:FxiOS|Firefox)\/(\d+)/, 'firefox', 'Firefox'],
  [/\b(?:CriOS|Chrome)\/(\d+)/, 'chrome', 'Chrome'],
  [/\bVersion\/(\d+)[\d.]*.* Safari\//, 'safari', 'Safari'],
];

/** Reads a user agent. touchPoints tells an iPad, which calls itself a Mac, from a Mac. */
export function readBrowser(agent: string, touchPoints = 0): Browser {
  const ios = /iPhone|iPad|iPod/.test(agent) || (/Macintosh/.test(agent) && touchPoints > 1);
  const android = /Android/.test(agent);
  const system: System = ios ? 'ios' : android ? 'android' : 'other';
  const version = ios
    ? /(?:OS|Version)[ /](\d+)[_.]?(\d+)?/.exec(agent)
    : android
      ? /Android (\d+)(?:\.(\d+))?/.exec(agent)
      : null;
  const number = version ? [version[1], version[2]].filter(Boolean).join('.') : '';
  const systemLabel =
    system === 'other' ? (/\(([^;)]+)/.exec(agent)?.[1] ?? '') : `${ios ? 'iOS' : 'Android'} ${number}`.trim();

  const app = apps.find(([pattern]) => pattern.test(agent))?.[1] ?? '';
  const webview = (android && /; wv\)/.test(agent)) || (ios && !/Safari\//.test(agent));
  if (app || webview) {
    return { system, kind: 'app', app, systemLabel, browserLabel: app || 'WebView' };
  }
  for (const [pattern, kind, label] of browsers) {
    const found = pattern.exec(agent);
    if (found) {
      return { system, kind, app: '', systemLabel, browserLabel: `${label} ${found[1] ?? ''}`.trim() };
    }
  }
  return { system, kind: 'other', app: '', systemLabel, browserLabel: '' };
}

/** The address that opens this page in Chrome on Android. The secret stays behind the first #. */
export function chromeAddress(href: string): string {
  const url = new URL(href);
  return `intent://${url.host}${url.pathname}${url.hash}#Intent;scheme=${url.protocol.slice(0, -1)};package=com.android.chrome;end`;
}

/** The address at which LINE opens the phone's own browser. */
export function lineAddress(href: string): string {
  const url = new URL(href);
  url.searchParams.set('openExternalBrowser', '1');
  return url.href;
}

/** The secret of the link in an address, empty where there is none. What a message app may have added is left out. */
export function secretOf(hash: string): string {
  return /^#([0-9A-Za-z]{22})(?![0-9A-Za-z])/.exec(hash)?.[1] ?? '';
}

/** Whether this browser can send live video at all. */
export function canSendLive(): boolean {
  return typeof RTCPeerConnection === 'function' && typeof navigator.mediaDevices?.getUserMedia === 'function';
}

/** Copies a text; false where the browser does not let us. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.readOnly = true;
    document.body.append(area);
    area.select();
    try {
      return document.execCommand('copy');
    } catch {
      return false;
    } finally {
      area.remove();
    }
  }
}
