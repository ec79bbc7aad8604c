// What a caller does on the phone, by the words they read there.

/** The words of the caller's page that the tests look for, in each language. */
export const words = {
  ja: {
    proof: 'いま電話で話している警察のページです',
    words: '合い言葉',
    same: '同じ',
    different: 'ちがう',
    consent: '送る前に読んでください',
    agree: '同意してはじめる',
    refuse: '同意しない（電話は続きます）',
    modes: { PHOTO: '写真を撮る', STORED: '写真や動画をえらぶ', LIVE: '映像を見せる', POSITION: '場所を知らせる' },
    asked: {
      PHOTO: '写真を撮って送ってください',
      STORED: 'スマホの中の写真や動画を送ってください',
      LIVE: 'カメラの映像を見せてください',
      POSITION: 'いまいる場所を知らせてください',
    },
    others: 'ほかのやり方',
    whyPosition: 'いる場所を、警察に知らせます',
    sharePosition: '場所を知らせる',
    positionOn: /場所を知らせています/,
    whyCamera: 'カメラの映像を、警察が見ます',
    useCamera: 'カメラを使う',
    connected: '警察に届いています',
    stop: 'とめる',
    arrived: '警察に届きました',
    finish: '終わる',
    thanks: 'ありがとうございました',
    ended: '警察が、映像通報を終わりにしました。撮影は終わりです。',
    dead: 'このリンクは使えません',
    declined: 'わかりました',
    mismatch: 'このページは使わないでください',
    waiting: '警察官の確認を待っています',
    turnedAway: 'このスマホからは送れません',
    noCamera: 'カメラが使えません',
    noPosition: '場所を知らせられません',
    inApp: (app) => `${app}の中では、うまく送れないことがあります`,
    stay: 'このまま写真を送る',
    noLive: 'このブラウザでは映像を見せられません',
    offlineHeading: '電波がとどいていません',
    unreachable: '電波がとどいていません。自動でやりなおしています。',
    back: 'もどる',
    code: { heading: '電話の警察官が言う番号を入れてください', label: '番号', next: 'つぎへ' },
  },
  en: {
    proof: 'This page is from the police you are talking to',
    words: 'Proof words',
    same: 'Same',
    different: 'Different',
    consent: 'Please read before you send',
    agree: 'Agree and start',
    refuse: 'Do not agree (the call goes on)',
    modes: {
      PHOTO: 'Take a photo',
      STORED: 'Choose photos or videos',
      LIVE: 'Show live video',
      POSITION: 'Send my location',
    },
    asked: {
      PHOTO: 'Please take a photo and send it',
      STORED: 'Please send photos or videos from your phone',
      LIVE: 'Please show what your camera sees',
      POSITION: 'Please tell us where you are',
    },
    others: 'Other ways to help',
    whyPosition: 'The police will see where you are',
    sharePosition: 'Send my location',
    positionOn: /Sending your location/,
    whyCamera: 'The police will see what your camera sees',
    useCamera: 'Use the camera',
    connected: 'The police can see it',
    stop: 'Stop',
    arrived: 'The police have it',
    finish: 'Finish',
    thanks: 'Thank you',
    ended: 'The police have ended the video report. Filming is over.',
    dead: 'This link does not work',
    declined: 'That is all right',
    mismatch: 'Do not use this page',
    waiting: 'Waiting for the officer',
    turnedAway: 'This phone cannot send',
    noCamera: 'The camera cannot be used',
    noPosition: 'Your location cannot be sent',
    inApp: (app) => `Sending may not work inside ${app}`,
    stay: 'Send photos from here',
    noLive: 'This browser cannot show live video',
    offlineHeading: 'No network',
    unreachable: 'No network. We keep trying by ourselves.',
    back: 'Back',
    code: { heading: 'Enter the number the officer says', label: 'Number', next: 'Next' },
  },
};

/** The page's heading, once it is the one of that name. */
export async function see(page, name) {
  await page.getByRole('heading', { name, level: 1, exact: true }).waitFor();
}

/** Opens the link of the message. */
export async function openLink(context, link, { locale = 'ja' } = {}) {
  const page = await context.newPage();
  await page.goto(link);
  await see(page, words[locale].proof);
  return page;
}

/** The two words the page shows large. */
export async function proofWords(page, { locale = 'ja' } = {}) {
  return page.getByRole('group', { name: words[locale].words }).locator('strong').allInnerTexts();
}

/** From the two words to the screen that says what to send. */
export async function agree(page, { locale = 'ja' } = {}) {
  const t = words[locale];
  await page.getByRole('button', { name: t.same, exact: true }).tap();
  await see(page, t.consent);
  await page.getByRole('button', { name: t.agree }).tap();
  await page.getByRole('heading', { name: t.others }).waitFor();
}

/** From the message to the screen that says what to send. */
export async function join(context, link, options = {}) {
  const page = await openLink(context, link, options);
  await agree(page, options);
  return page;
}

/** Lets the phone say where it is; the page shows that it does when it answers. */
export async function sharePosition(page, { locale = 'ja' } = {}) {
  const t = words[locale];
  await page.getByRole('button', { name: t.modes.POSITION }).tap();
  await see(page, t.whyPosition);
  await page.getByRole('button', { name: t.sharePosition }).tap();
  await page.getByText(t.positionOn).waitFor();
}

/** Takes a photo through the page: file is {name, mimeType, buffer}. */
export async function takePhoto(page, file, { locale = 'ja' } = {}) {
  await page.getByLabel(words[locale].modes.PHOTO).setInputFiles(file);
}

/** Chooses files that the phone holds. */
export async function chooseFiles(page, files, { locale = 'ja' } = {}) {
  await page.getByLabel(words[locale].modes.STORED).setInputFiles(files);
}

/** Begins live video; the page says that the police have it when it answers. */
export async function goLive(page, { locale = 'ja' } = {}) {
  const t = words[locale];
  await page.getByRole('button', { name: t.modes.LIVE }).tap();
  const use = page.getByRole('button', { name: t.useCamera });
  await use.or(page.getByText(t.connected)).first().waitFor();
  if (await use.isVisible()) {
    await use.tap();
  }
  await page.getByText(t.connected).waitFor();
}
