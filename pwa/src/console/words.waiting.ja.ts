// The texts of what waits for a supervisor or the manager, in Japanese.
export const waiting = {
  leaks: '職員用URLの流出・紛失の報告',
  forwarded: '運用管理責任者の破棄待ち',
  notForwarded: '停止と運用管理責任者への報告待ち',
  exports: '外部記録媒体への保存',
  yours: 'あなたの許可待ち',
  overdue: (medium: string) => `媒体 ${medium} の返却・廃棄の期限を過ぎています`,
  usage: '職員の利用報告',
  owed: '終了から30分を過ぎても報告がありません',
  timing: { BEFORE: '事前報告（未確認）', AFTER: '後報（未確認）' },
  since: (time: string) => `${time}前`,
  sealed: '緊急用の封筒のパスワードが使われました。「利用者」と「記録」で確かめてください。',
} as const;
