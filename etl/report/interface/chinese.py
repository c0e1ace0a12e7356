"""The error catalogue in Chinese: what each code means, and the next step; etl.errors has the English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OUTCOMES: Final[Mapping[str, str]] = {
    "file": "整个文件拒收并保留，不使用其中任何内容",
    "report": "整张报销单隔离，其他报销单照常处理",
    "hold": "挂起，等待数据或批准，其他报销单照常处理",
    "setup": "不启动；修正所指的文件或设置后重新运行",
    "stop": "步骤停止，重试无用",
    "retry": "步骤停止，重新运行是安全的",
    "break": "由对账报告",
    "shadow": "由并行试运行报告：我方拟过账内容与旧接口已过账内容不同",
}
OWNERS: Final[Mapping[str, str]] = {
    "source system": "费用系统", "data engineering": "数据工程", "finance": "财务", "operations": "运维",
}  # fmt: skip
_RESEND: Final = "请发送方更正文件，以任意文件名重新发送。"
_CORRECT: Final = "在费用系统中更正报销单，将以新版本再次送来。"
_TABLE: Final = "在表中补充该行，然后重新运行接口。"
_ERP: Final = "在 ERP 中查找手工修改。"

CODES: Final[Mapping[str, tuple[str, str]]] = {
    # --- file
    "EMPTY": ("文件没有数据。", _RESEND),
    "SIZE": ("文件超出大小上限。", "拆分交付；若此大小属正常，在来源映射中提高上限。"),
    "ENCODING": ("文件不是约定的编码。", _RESEND),
    "NUL": ("文件含 NUL 字节：写入中断，或不是文本文件。", _RESEND),
    "LINE_END": ("文件含单独的回车符；换行应为 LF 或 CRLF。", _RESEND),
    "CONTENT_TYPE": ("文件不是约定的类型。", _RESEND),
    "PATH": ("文件名不是本接口接收的名称。", "更改文件名，或修正接口中的 source.files。"),
    "COMPRESSION": ("压缩文件无法安全解压。", _RESEND),
    "SIDECAR": ("文件与其 .ok 文件不符。", _RESEND),
    "INCOMPLETE": ("文件不完整。", _RESEND),
    "HEADER": ("表头不在约定之列。", "询问发送方有何变化；财务同意后在来源映射中增加表头。"),
    "UNKNOWN_COLUMN": ("文件中有未知的列。", "询问发送方该列的含义；财务同意后在来源映射中增加表头。"),
    "SYNTAX": ("文件不是合法的 JSON。", _RESEND),
    "TYPE": ("某个值的类型与约定不符。", "询问发送方有何变化；财务同意后更正来源映射中的层级。"),
    "FIELD_COUNT": ("某行字段数与表头不符。", _RESEND),
    "RECORD_MARK": ("某行不以约定的标记开头。", _RESEND),
    "QUOTING": ("引号不成对。", _RESEND),
    "RECORD_COUNT": ("记录数与行数不符：引号或换行吞掉了部分记录。", _RESEND),
    "BLANK_LINE": ("数据中间有空行。", _RESEND),
    "CONTROL_TOTAL": ("文件声明的记录数或合计与记录不符。", _RESEND),
    "ENVIRONMENT": ("文件标记为其他环境。", "查明发送者，送到正确的环境。"),
    "LEGACY_LINE": (
        "旧接口凭证中有一行无法读取。",
        "更正 mappings/legacy 中的配置或文件；凭证要么整张比较，要么不比较。",
    ),
    # --- report: identity and text
    "MISSING": ("必填字段为空。", _CORRECT),
    "CODE": ("字段不是合法代码。", _CORRECT),
    "LENGTH": ("字段超长。", _CORRECT),
    "CONTROL_CHARACTER": ("字段含控制字符。", _CORRECT),
    "UNICODE": ("字段含无效字符。", _CORRECT),
    "INTEGER": ("字段不是整数。", _CORRECT),
    "UNIDENTIFIED": ("该行没有报销单号，无法归属。", _CORRECT),
    "REPORT_HEADER": ("同一报销单各行的单头字段不一致。", _CORRECT),
    "LINE_REPEATED": ("报销单中行号重复。", _CORRECT),
    "STATUS": ("报销单状态不允许记账。", "等待批准，或修正导出的筛选条件。"),
    "CONFLICT": ("同一报销单同一版本此前以不同内容送达。", "询问发送方哪份正确，以新版本重新发送。"),
    "REVISION": (
        "该版本所更正的原版本，其凭证 ERP 尚未给出结果。",
        "无需处理：ERP 答复后的首次运行会继续。若 ERP 拒绝了冲销，须在 ERP 中处理。",
    ),
    # --- report: money and dates
    "MONEY": ("字段不是金额。", _CORRECT),
    "PRECISION": ("金额的小数位多于币种允许的位数。", _CORRECT),
    "RANGE": ("金额超过 10^15 个最小货币单位。", _CORRECT),
    "ZERO": ("金额为零，无可记账。", _CORRECT),
    "NEGATIVE": ("金额为负，而不允许退款。", _CORRECT),
    "CURRENCY": ("不是 ISO 4217 币种。", _CORRECT),
    "TAX": ("税额与金额不符。", _CORRECT),
    "SPLIT": ("分摊各部分不成整体。", _CORRECT),
    "TAX_RATE": ("税率不可用。", _CORRECT),
    "SUM": ("来源中应当相加的列不相符。", _CORRECT),
    "REPORT_TOTAL": ("明细之和与报销单总额不符。", _CORRECT),
    "DATE": ("字段不是约定格式的日期。", _CORRECT),
    "DATE_RANGE": ("日期超出允许范围。", _CORRECT),
    "DATE_ORDER": ("日期先后颠倒。", _CORRECT),
    "RATE": ("当日没有汇率。", "在汇率表中补充汇率，然后重新运行接口。"),
    "RATE_VALUE": ("汇率不可用。", _CORRECT),
    # --- report: mapping and references
    "COMPANY_LEFT": (
        "该法人主体已不在本接口中，其账套中的凭证需要冲销。",
        "把该法人主体加回接口后重新运行，或由财务在 ERP 中冲销。",
    ),
    "COMPANY": ("不是本接口的法人主体。", "在接口中增加该法人主体，或让发送方停止导出。"),
    "MAPPING_GAP": ("对照表中没有对应的行。", _TABLE),
    "SUSPENSE_LIMIT": (
        "对照表中没有对应的行，而暂记科目的行数已满。",
        "在表中补充该行，或在记账映射中提高 lines_max，然后重新运行接口。",
    ),
    "REFERENCE": ("代码未知或当日无效。", "在表中增加或延长有效期，然后重新运行接口。"),
    "PERIOD_CLOSED": ("会计期间已关闭。", "打开期间，或由政策移到下一个打开的期间。"),
    "ROUNDING_LIMIT": ("舍入尾差超出上限。", "核对汇率；若正确，在记账映射中提高上限。"),
    "UNBALANCED": ("凭证借贷不平。", "修正记账映射；两种币种下借贷都必须相等。"),
    "LINES": ("凭证的分录数超过 ERP 单张凭证的上限。", "在记账映射中声明 `split`，或用 `merge` 减少分录。"),
    "ROUNDING_PERIOD": ("本期间的舍入尾差合计将超出上限。", "查看该期间的舍入台账；若正确，在记账映射中提高上限。"),
    "POLICY": ("违反报销政策。", "更正报销单，或申请例外批准。"),
    "APPROVAL": ("需要例外批准。", "取得例外批准。"),
    "SOD": ("批准人就是报销人。", "由他人在费用系统中批准，将以新版本再次送来。"),
    "INVOICE_REPEATED": ("发票重复报销。", "核对票据；作废无权报销的一张，放行另一张。"),
    "UNENCODABLE": ("文本无法以目标系统的编码写出。", "更正文本，或在目标配置中声明替换。"),
    "KEY_OVERFLOW": ("代码超出目标系统的长度。", "缩短代码；键值从不截断。"),
    "VOLUME": ("交付的数量或金额异常。", "与发送方核对；若正确，放宽接口中的 gate 并重新运行。"),
    # --- setup
    "YAML": ("映射文件不是合法的 YAML。", "修正该行。"),
    "SCHEMA": ("映射文件的内容不符合规范。", "修正该行；允许的内容见 mappings/README.md。"),
    "TABLE": ("对照表有误。", "修正该行。"),
    "UNKNOWN_FEED": ("没有此接口。", "使用已有接口，或在 mappings/feeds/ 下新增。"),
    "NO_MAPPINGS": ("没有映射文件夹。", "设置 CLAIMPOST_MAPPINGS，或在项目文件夹中启动。"),
    "CONNECTION": ("连接不可用。", "在 Airflow 中定义连接，或设置 AIRFLOW_CONN_…。"),
    "HOST_KEY": ("服务器的主机密钥与已固定的不同。", "不要连接。询问服务器负责人，确认后才更换固定的密钥。"),
    "NO_INPUT": ("没有本接口接收的文件。", "检查路径和文件名。"),
    "SETTING": ("设置有误。", "修正设置。"),
    "SIGN_OFF": (
        "接口在该期间不能签字放行。",
        "对该期间重新运行 `claimpost shadow`；更正尚存的差异，或在旧接口配置中注明理由予以接受。",
    ),
    "NOT_FOUND": ("控制库中没有此标识。", "检查标识；`claimpost status` 列出全部批次。"),
    # --- delivery
    "SHADOW_BATCH": ("接口处于并行试运行，批次不交付。", "用 `claimpost shadow` 比较；签字放行后接口才会交付。"),
    "CONTENT_CHANGED": (
        "目标系统已有同一标识的不同内容。",
        "未写入任何内容。查明何人写入；见 docs/operations.md 的冲突一节。",
    ),
    "LEDGER_BEHIND_TARGET": (
        "目标系统的内容多于控制库。",
        "未写入任何内容。控制库可能由备份恢复；见 docs/operations.md 的冲突一节。",
    ),
    "FOUR_EYES": ("申请人不能批准自己的申请。", "由另一人批准；未作任何更改。"),
    "REQUEST_STALE": ("申请已不能批准。", "重新查看并提出新的申请；未作任何更改。"),
    "ARCHIVE_ALTERED": ("归档或封存文件与记录的 sha256 不符。", "停止。查明谁改动了文件；按 sha256 从备份恢复。"),
    "AUDIT_BROKEN": (
        "审计链不再成立。",
        "停止。有人手工改动了控制库，或控制库被恢复；与备份比较，见 docs/operations.md 的 verify 一节。",
    ),
    "BATCH_GAP": ("批次序号不连续。", "停止。控制库中缺少批次，或控制库被恢复；见 docs/operations.md 的冲突一节。"),
    "MANIFEST_DIFFERS": ("目标处的批次与封存的不同。", "停止。查明谁改动了目标的行；不再发送。"),
    "REVERSAL_DIFFERS": ("凭证与其冲销不能抵消。", "这是 claimpost 的缺陷：请报告。"),
    "STUCK": ("批次停留过久。", "再次运行该数据流；若仍停留，查看上次运行的错误。"),
    "QUARANTINE_OLD": ("报销单等待过久。", "消除原因：`claimpost causes` 列出每个原因所阻挡的单据；或放弃该报销单。"),
    "ANSWER_CHANGED": ("ERP 对同一凭证给出不同答复。", "未作任何更改。询问 ERP 哪个答复正确。"),
    "ANSWER_UNREADABLE": (
        "ERP 的回执无法使用。",
        "未作任何更改。让 ERP 重新写出回执，或更正目标配置中的 `acknowledge`。",
    ),
    "TARGET_CONTRACT": ("目标的表或文件不符合约定。", "未写入任何内容。请 ERP 负责人更正该表或文件，或更正目标配置。"),
    "SIMULATOR": (
        "沙盒 ERP 不识别该目标的文件。",
        "文件已送达。从接口中去掉 `simulator: yes`；回执按目标配置的 `acknowledge`。",
    ),
    "TOTALS_DIFFER": ("目标中的合计与发送的不符。", "未提交。检查目标的列类型后重新运行。"),
    "NO_ATOMIC_RENAME": ("服务器不能一步改名。", "使用支持 posix-rename@openssh.com 的服务器。"),
    "CONSERVATION": (
        "送达不等于接收、隔离、重复、被取代与撤回之和。",
        "这是 claimpost 的缺陷，未交付任何内容。保留落地文件夹并报告。",
    ),
    "NOT_REACHED": ("对方无响应。", "重新运行；查看对方系统的状态页。"),
    "TARGET_BUSY": ("目标被他人锁定。", "重新运行。"),
    # --- reconciliation
    "MISSING_IN_ERP": ("已送达，但 ERP 中没有。", "询问 ERP；未经询问不要重发。"),
    "IN_FLIGHT": ("已送达，在约定时间内尚无回执。", "等待回执。"),
    "UNKNOWN_OUTCOME": ("已送达，超过约定时间仍无回执。", "询问 ERP；未经询问不要重发。"),
    "REJECTED_BY_ERP": ("ERP 拒绝。", "在 ERP 中更正其指出的问题，同一批次可再次导入。"),
    "SEQUENCE_GAP": (
        "来源的文件编号不连续，缺少文件。",
        "请发送方补发缺少的文件；若该编号本无文件，在接口的 source.sequence.accepted 中列出。",
    ),
    "MISSING_IN_SOURCE": ("ERP 中有带我方标记而非我方生成的凭证。", "查明何人录入。"),
    "DUPLICATE_IN_ERP": ("ERP 中同一凭证出现多次。", "在 ERP 中冲销多余的一张。"),
    "AMOUNT_DIFFERS": ("金额与 ERP 不同。", _ERP),
    "ACCOUNT_DIFFERS": ("科目与 ERP 不同。", _ERP),
    "CURRENCY_DIFFERS": ("币种与 ERP 不同。", _ERP),
    "PERIOD_SHIFTED": ("期间与 ERP 不同。", "与 ERP 负责人商定期间。"),
    "DATE_DIFFERS": ("记账日期与 ERP 不同。", "与 ERP 负责人商定日期。"),
    "NOT_JOURNALED": ("已接收，但没有凭证。", "重新运行接口。"),
    "NOT_LOADED": ("已有凭证，但未送达。", "重新运行接口。"),
    "STATE_CONTRADICTED": ("我方状态与 ERP 账簿矛盾。", "询问 ERP 何者为真，在此之前不放行也不重发。"),
    "COMPANY_DIFFERS": ("法人主体与 ERP 不同。", "在 ERP 中把凭证移到正确的账套。"),
    "SOURCE_DIFFERS": ("凭证合计与报销单不同。", "这是 claimpost 或映射的缺陷，请报告。"),
    # --- shadow run
    "ONLY_OURS": ("我方会过账，旧接口没有过账。", "查明旧接口是漏掉了报销单，还是以其他引用过账。"),
    "ONLY_LEGACY": ("旧接口已过账，我方不会过账。", "用 `claimpost show report` 查看该报销单在我方的处理结果。"),
    "LEGACY_TWICE": ("旧接口凭证中出现多次。", "在 ERP 中冲销多余的一张。"),
    "LEGACY_COMPANY": (
        "旧接口记在另一法人主体的账上。", "查明由哪个法人主体承担；更正配置中的法人主体别名或来源映射。",
    ),
    "LEGACY_PERIOD": (
        "旧接口记入另一会计期间。",
        "商定由哪个日期决定期间（记账映射的 `posting_date`、`closed_period`）。",
    ),
    "LEGACY_DATE": ("旧接口的记账日期不同，期间相同。", "商定记账日期，或注明理由予以接受。"),
    "LEGACY_CURRENCY": ("旧接口的币种不同。", "若旧接口以本位币过账，在配置中写 `compare_in: base`。"),
    "LEGACY_DIMENSION": ("旧接口的核算维度不同。", "商定成本对象；更正其对照表或记账映射。"),
    "LEGACY_ACCOUNT": ("旧接口以相同金额记入另一科目。", "商定科目；更正科目表中的对应行。"),
    "LEGACY_SIGN": ("旧接口以相同金额记在另一方向。", "查明是否为退款；比较冲销方式。"),
    "LEGACY_SPLIT": ("旧接口的分录不同而合计相同。", "注明理由予以接受，或在记账映射中按旧接口设置 `merge`。"),
    "LEGACY_ROUNDING": ("差异在约定的舍入范围之内。", "注明理由予以接受，或商定记账映射的舍入方式。"),
    "LEGACY_AMOUNT": ("旧接口的金额不同。", "比较税额、汇率和报销单版本；更正映射，或注明理由予以接受。"),
}  # fmt: skip


def owner(name: str, language: str) -> str:
    """Who acts; a name that is not the catalogue's stays as the mapping says it."""
    return OWNERS.get(name, name) if language == "zh" else name
