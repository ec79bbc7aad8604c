// The sentences the dispatcher says, in the caller's language whatever the console's own is.
import { defineMessages } from '$lib/i18n.svelte';

/** The call script in every language callers are spoken to. */
export const script = defineMessages({
  ja: {
    speaker: 'スピーカーにして、電話は切らないでください',
    mode: {
      PHOTO: 'いまの様子の写真を撮って、送っていただけますか。',
      STORED: 'お持ちの写真や動画を、送っていただけますか。',
      LIVE: 'いまの様子をスマートフォンのカメラで映して、見せていただけますか。',
      POSITION: 'いまいる場所を、スマートフォンから送っていただけますか。',
    },
    checks: {
      safe: 'いま、安全な場所にいますか。危ないときは、撮らないで逃げてください。',
      cameraPhone: 'カメラの付いたスマートフォンで話していますか。',
      numberNotified: 'その電話の番号に、メッセージを送ってよいですか。',
    },
    explained: {
      lead: '4つのことをお願いします。送るかどうかは自由です。',
      copyright: '一つ、送った写真や動画の著作権は放棄してもらいます。',
      position: '二つ、スマートフォンのGPSで、いる場所を警察に知らせます。',
      privacy: '三つ、だれでも入れる場所から、目で見えるものだけ撮ってください。',
      cost: '四つ、通信のお金は、あなたの負担になります。',
      ask: 'これでよろしいですか。',
    },
    number: '電話番号を、はじめから読んでください。',
    email: 'メールアドレスを、一文字ずつ読んでください。',
    digits: '確かめます。番号の下4桁を、一つずつ読んでください。',
    emailAgain: '確かめます。メールアドレスを、もう一度読んでください。',
    sent: 'いまメッセージを送りました。届いたら、青い文字を押してください。',
    sentAgain: 'もう一度メッセージを送りました。新しいほうの青い文字を押してください。前のものは使えません。',
    proof: (one: string, two: string) => `画面に「${one}」「${two}」と出ていますか。`,
    code: (digits: string) => `画面に、この数字を入れてください。${digits}。`,
    codeAgain: (digits: string) => `数字が合いませんでした。もう一度、一つずつ入れてください。${digits}。`,
    codeWait: '新しい数字をお伝えします。少しお待ちください。',
    state: {
      REQUESTED: 'これから電話にメッセージを送ります。そのままお待ちください。',
      LINK_SENT: 'メッセージが届いたら、青い文字を押してください。電話は切らないでください。',
      OPENED: '画面の説明を読んで、よければ「同意してはじめる」を押してください。',
      CODE_OK: '画面の説明を読んで、よければ「同意してはじめる」を押してください。',
      CONSENTED: '画面の大きなボタンを押してください。カメラと位置の許可を聞かれたら「許可」を押してください。',
      CONNECTED: '届いています。ありがとうございます。危ないときは、すぐにやめて逃げてください。',
      ENDED: '撮影は終わりです。ありがとうございました。電話はまだ切らないでください。',
      REVOKED: 'そのリンクはもう使えません。電話はそのままつないでください。',
      EXPIRED: 'リンクの時間が切れました。もう一度送ります。',
      FAILED: '映像はもう結構です。電話で様子を教えてください。',
    },
    stall: {
      SMS_UNDELIVERED: 'メッセージが届いていないようです。番号をもう一度読んでください。',
      NOT_OPENED: 'メッセージは届いていますか。青い文字を押してください。',
      REFUSED: 'わかりました。映像はなくてかまいません。電話で様子を教えてください。',
      CAMERA_DENIED: '画面の案内のとおりに、カメラを「許可」にしてください。難しければ、写真を選んで送れます。',
      LOCATION_DENIED: 'いる場所は、目印を電話で教えてください。',
      UNSUPPORTED_BROWSER: 'リンクを長く押して、SafariかChromeで開いてください。',
      CODE_FAILED: '数字が合いませんでした。もう一度メッセージを送ります。',
      PROOF_MISMATCH: 'その画面は閉じてください。番号をもう一度確かめます。',
      NETWORK: '映像が止まっています。安全なら、電波のよいところへ少し動いてください。',
    },
    noLive: '映像が届いていません。危なくなければ、画面の「映像を見せる」を押してください。',
    noFrame: 'まだ映っていません。カメラのボタンを押して、そのままお待ちください。',
    end: {
      DONE: 'ありがとうございました。撮影は終わりです。電話はまだ切らないでください。',
      FALSE_REPORT: '映像はここで終わります。電話はそのままつないでください。',
      IMPROPER_FILMING: '撮影をやめてください。映像はここで終わります。電話はそのままつないでください。',
      UNSAFE: 'すぐに撮影をやめて、その場から離れてください。電話は切らないでください。',
      MISDIRECTED: '手違いで別の番号に送りました。届いた方へは、こちらから連絡します。',
      OTHER: '映像はここで終わります。ありがとうございました。電話はまだ切らないでください。',
    },
  },
  en: {
    speaker: 'Please switch to speaker, and do not hang up',
    mode: {
      PHOTO: 'Could you take a photo of what is happening and send it to us?',
      STORED: 'Could you send us the photos or videos you already have?',
      LIVE: 'Could you show us what is happening with your phone’s camera?',
      POSITION: 'Could you send us where you are from your phone?',
    },
    checks: {
      safe: 'Are you in a safe place? If it is dangerous, do not film. Get away.',
      cameraPhone: 'Are you calling from a smartphone with a camera?',
      numberNotified: 'May we send a message to the number you are calling from?',
    },
    explained: {
      lead: 'There are four things to agree to. You are free to refuse.',
      copyright: 'One: you give up the copyright of what you send.',
      position: 'Two: your phone’s GPS tells the police where you are.',
      privacy: 'Three: film only from places open to everyone, and only what the eye can see.',
      cost: 'Four: you pay for the data.',
      ask: 'Do you agree?',
    },
    number: 'Please read me your phone number from the start.',
    email: 'Please spell your e-mail address.',
    digits: 'Let me check. Please read the last four digits, one by one.',
    emailAgain: 'Let me check. Please spell your e-mail address once more.',
    sent: 'We have sent a message. When it comes, tap the blue link.',
    sentAgain: 'We have sent another message. Tap the blue link in the new one. The old one no longer works.',
    proof: (one: string, two: string) => `Does your screen show “${one}” and “${two}”?`,
    code: (digits: string) => `Please enter these digits on the page: ${digits}.`,
    codeAgain: (digits: string) => `The digits did not match. Please enter them again, one by one: ${digits}.`,
    codeWait: 'I will give you new digits. Please hold on.',
    state: {
      REQUESTED: 'I am about to send you a message. Please hold on.',
      LINK_SENT: 'When the message comes, tap the blue link. Please do not hang up.',
      OPENED: 'Please read the page, and tap “Agree and start” if you agree.',
      CODE_OK: 'Please read the page, and tap “Agree and start” if you agree.',
      CONSENTED: 'Tap the large button. If the phone asks about camera and location, tap “Allow”.',
      CONNECTED: 'We are receiving it, thank you. If it gets dangerous, stop and get away.',
      ENDED: 'You can stop filming. Thank you. Please do not hang up yet.',
      REVOKED: 'That link no longer works. Please stay on the phone.',
      EXPIRED: 'The link has run out. I will send you another.',
      FAILED: 'We do not need the video any more. Please tell me what you see.',
    },
    stall: {
      SMS_UNDELIVERED: 'The message does not seem to have arrived. Please read me your number again.',
      NOT_OPENED: 'Has the message come? Please tap the blue link.',
      REFUSED: 'That is all right, we can go on without video. Please tell me what you see.',
      CAMERA_DENIED: 'Follow the page to allow the camera. If that is hard, you can choose a photo instead.',
      LOCATION_DENIED: 'Please tell me a landmark near you.',
      UNSUPPORTED_BROWSER: 'Press and hold the link, and open it in Safari or Chrome.',
      CODE_FAILED: 'The digits did not match. I will send you another message.',
      PROOF_MISMATCH: 'Please close that page. Let us check the number again.',
      NETWORK: 'The video has stopped. If it is safe, move a little to better reception.',
    },
    noLive: 'We have no video. If you are safe, tap “Show live video”.',
    noFrame: 'We cannot see it yet. Please tap the camera button and hold on.',
    end: {
      DONE: 'Thank you, you can stop filming. Please do not hang up yet.',
      FALSE_REPORT: 'We end the video here. Please stay on the phone.',
      IMPROPER_FILMING: 'Please stop filming. We end the video here. Please stay on the phone.',
      UNSAFE: 'Stop filming now and get away from there. Please do not hang up.',
      MISDIRECTED: 'We sent it to a wrong number by mistake. We will contact the person who got it.',
      OTHER: 'We end the video here. Thank you. Please do not hang up yet.',
    },
  },
});

/** A language callers are spoken to. */
export type ScriptLanguage = keyof typeof script;

/** The script in a video report's language; Japanese where it has no script. */
export function scriptIn(language: string): (typeof script)[ScriptLanguage] {
  return language === 'en' ? script.en : script.ja;
}
