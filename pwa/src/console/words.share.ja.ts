// The texts of sharing with own officers in Japanese.
export const officerShare = {
  action: '職員に見せる',
  title: '職員に見せる',
  text: '選んだ職員の貸与端末だけに、この映像通報を見せます。個人所有の携帯電話機には見せられません。切り出しと保存はできず、だれがいつ見たかが残ります。',
  search: '所属・氏名・番号で探す',
  searching: '探しています…',
  none: '貸与端末を使っている職員が見つかりません。所属・氏名・番号の一部で探してください。',
  list: '見せる職員',
  already: '提供中',
  chosen: (count: number) => `${count}人を選びました`,
  noneChosen: '見せる職員を選んでください。',
  tooMany: (most: number) => `一度に選べるのは${most}人までです。`,
  confirm: '見せる',
  given: (count: number) => `${count}人の職員に見せています`,
  panel: '見せている相手',
  officer: '職員',
  /** What to say to an officer before the end, by phone or radio. */
  end: {
    title: '職員の映像通報を終了する',
    say: '職員へ（電話・無線）',
    text: {
      DONE: '映像を確認しました。送信を終了してください。',
      FALSE_REPORT: '映像通報はここで終了します。状況は電話か無線で報告してください。',
      IMPROPER_FILMING: '撮影をやめてください。第三者のプライバシーに注意してください。映像通報はここで終了します。',
      UNSAFE: 'すぐに撮影をやめて、安全を確保してください。',
      MISDIRECTED: '映像通報はここで終了します。',
      OTHER: '映像通報はここで終了します。状況は電話か無線で報告してください。',
    },
  },
} as const;
