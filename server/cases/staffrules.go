package cases

// StaffRules are what an officer accepts with a staff link (第4の4(2)) in one
// language, as versioned text. An acceptance names version and language, so the
// exact words can be shown later: a change of words is a new version, and every
// officer accepts anew.
type StaffRules struct {
	Version  string
	Language string
	Items    []string // アからク
}

const staffRulesVersion = "2026-11"

var currentStaffRules = []StaffRules{
	{
		Version: staffRulesVersion, Language: "ja",
		Items: []string{
			"映像通報は、原則として初動警察活動に必要な範囲内で行うこと",
			"利用する前に、運用管理者に利用を報告すること。いとまがないときは、利用した後速やかに理由を付けて報告すること",
			"職員用URLと電話機を適正に管理し、第三者に窃取されないようにすること",
			"電話機の紛失、職員用URLの流出などを認知したときは、運用管理者を経由して運用管理責任者へ速やかに報告すること",
			"個人所有の携帯電話機を使うときは、あらかじめ所属長の許可を受けること。職員用URL以外の管理対象情報を保存しないこと",
			"異動などで不要となったときは、速やかに削除すること",
			"高度警察情報通信基盤システムなど、ほかの映像伝送手段がない場合に限り使うこと",
			"アクセスコードは電話又は無線で聞き、書き残さないこと",
		},
	},
	{
		Version: staffRulesVersion, Language: "en",
		Items: []string{
			"Report by video only as far as the initial police response needs it",
			"Report the use to the supervisor before; where there is no time, promptly after, with the reason",
			"Look after the staff link and the phone, so that no third person gets hold of them",
			"Report a lost phone or a leaked link at once, through the supervisor to the manager",
			"A private phone needs the head of unit's permission beforehand, and keeps nothing of the police but the link",
			"Delete the link promptly when it is no longer needed, as after a transfer",
			"Use it only where there is no other way to send video",
			"Take the access code by phone or radio, and do not write it down",
		},
	},
}

// CurrentStaffRules are the rules as they stand, in each language.
func CurrentStaffRules() []StaffRules { return currentStaffRules }

func knownStaffRules(version, language string) bool {
	for _, r := range currentStaffRules {
		if r.Version == version && r.Language == language {
			return true
		}
	}
	return false
}
