import { describe, expect, test } from 'vitest';
import { chromeAddress, lineAddress, readBrowser, secretOf } from './browser';

const iPhone = 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)';
const android = 'Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko)';
const secret = 'AbCdEfGhIjKlMnOpQrStUv';

describe('readBrowser', () => {
  test.each([
    [`${iPhone} Version/17.5 Mobile/15E148 Safari/604.1`, 'ios', 'safari', '', 'iOS 17.5', 'Safari 17'],
    [`${iPhone} CriOS/125.0.6422.80 Mobile/15E148 Safari/604.1`, 'ios', 'chrome', '', 'iOS 17.5', 'Chrome 125'],
    [`${iPhone} FxiOS/126.0 Mobile/15E148 Safari/605.1.15`, 'ios', 'firefox', '', 'iOS 17.5', 'Firefox 126'],
    [`${iPhone} Mobile/15E148 Safari Line/14.5.0`, 'ios', 'app', 'LINE', 'iOS 17.5', 'LINE'],
    [`${iPhone} Mobile/15E148 Instagram 330.0.0`, 'ios', 'app', 'Instagram', 'iOS 17.5', 'Instagram'],
    [`${iPhone} Mobile/15E148 [FBAN/FBIOS;FBAV/460.0]`, 'ios', 'app', 'Facebook', 'iOS 17.5', 'Facebook'],
    [`${iPhone} Mobile/15E148 YJApp-IOS jp.co.yahoo.ipn.appli/4.100`, 'ios', 'app', 'Yahoo! JAPAN', 'iOS 17.5', 'Yahoo! JAPAN'],
    [`${iPhone} Mobile/15E148`, 'ios', 'app', '', 'iOS 17.5', 'WebView'],
    [`${android} Chrome/156.0.0.0 Mobile Safari/537.36`, 'android', 'chrome', '', 'Android 14', 'Chrome 156'],
    [`${android} SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36`, 'android', 'samsung', '', 'Android 14', 'Samsung Internet 25'],
    ['Mozilla/5.0 (Android 13; Mobile; rv:126.0) Gecko/126.0 Firefox/126.0', 'android', 'firefox', '', 'Android 13', 'Firefox 126'],
    ['Mozilla/5.0 (Linux; Android 14; SO-51D; wv) AppleWebKit/537.36 Version/4.0 Chrome/124.0 Mobile Safari/537.36', 'android', 'app', '', 'Android 14', 'WebView'],
    ['Mozilla/5.0 (Linux; Android 14; wv) Chrome/124.0 Mobile Safari/537.36 Line/14.5.0/IAB', 'android', 'app', 'LINE', 'Android 14', 'LINE'],
    ['Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36', 'other', 'chrome', '', 'X11', 'Chrome 156'],
    ['something else', 'other', 'other', '', '', ''],
  ] as const)('%s', (agent, system, kind, app, systemLabel, browserLabel) => {
    expect(readBrowser(agent)).toEqual({ system, kind, app, systemLabel, browserLabel });
  });

  test('an iPad that calls itself a Mac is told by its touch screen', () => {
    const agent = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15';
    expect(readBrowser(agent, 5)).toMatchObject({ system: 'ios', kind: 'safari' });
    expect(readBrowser(agent, 0)).toMatchObject({ system: 'other', kind: 'safari' });
  });
});

describe('secretOf', () => {
  test.each([
    [`#${secret}`, secret],
    [`#${secret}。`, secret],
    [`#${secret})`, secret],
    [`#${secret}x`, ''],
    ['#short', ''],
    ['', ''],
    ['#', ''],
    [`#${secret.slice(1)}-`, ''],
  ])('%s', (hash, found) => {
    expect(secretOf(hash)).toBe(found);
  });
});

test('another browser is opened with the secret still behind the first #', () => {
  const href = `https://genba.example:8443/v#${secret}`;
  expect(chromeAddress(href)).toBe(
    `intent://genba.example:8443/v#${secret}#Intent;scheme=https;package=com.android.chrome;end`,
  );
  expect(lineAddress(href)).toBe(`https://genba.example:8443/v?openExternalBrowser=1#${secret}`);
  expect(new URL(lineAddress(href)).search).not.toContain(secret);
});
