"""The phrases of the interface document in English and Chinese, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from etl.config import Document
from etl.report.interface import booking_words, target_words

LANGUAGES: Final = ("en", "zh")

PHRASES: Final[Mapping[str, tuple[str, str]]] = {
    **booking_words.PHRASES,
    **target_words.PHRASES,
    # --- the document
    "title": ("Interface {feed}", "接口说明：{feed}"),
    "footer": (
        "Made by claimpost from the mappings with digest {digest}. The same mappings give the same document.",
        "由 claimpost 根据映射生成，映射摘要 {digest}。映射相同，文档相同。",
    ),
    "contents": ("Contents", "目录"),
    "yes": ("yes", "是"),
    "no": ("no", "否"),
    "none": ("none", "无"),
    "where": ("{file} line {line}", "{file} 第 {line} 行"),
    # --- overview
    "overview": ("Overview", "概览"),
    "setting": ("Setting", "项目"),
    "said": ("Value", "内容"),
    "owner": ("Owner", "负责方"),
    "mode": ("Mode", "运行方式"),
    "mode.live": ("live: journals are delivered", "正式：凭证照常交付"),
    "mode.shadow": (
        "shadow: journals are built and sealed for comparison with the legacy interface; nothing is delivered until"
        " the feed is signed off",
        "并行试运行：凭证照常生成并封存，供与旧接口比较；签字放行之前不交付",
    ),
    "schedule": ("Schedule (cron)", "调度（cron）"),
    "time_zone": ("Time zone", "时区"),
    "source_system": ("Expense system", "费用系统"),
    "companies": ("Companies", "法人主体"),
    "company": ("Company", "法人主体"),
    "name": ("Name", "名称"),
    "base_currency": ("Currency of the books", "本位币"),
    "reversal_style": ("Reversal", "冲销方式"),
    "attributes": ("Attributes", "属性"),
    "target": ("Target", "目标系统"),
    "swap": ("debit and credit swapped", "借贷互换"),
    "red": ("red: negative amounts", "红字：负数金额"),
    # --- what goes in
    "in": ("What goes in", "输入"),
    "connection": ("Connection", "连接"),
    "files": ("File names (regular expression)", "文件名（正则表达式）"),
    "complete": ("A file is complete when", "文件完整的标志"),
    "ok_file": (
        "a file of the same name with .ok beside it states its size and sha256",
        "旁边有同名的 .ok 文件，写明大小和 sha256",
    ),
    "settled": ("it has not changed for {seconds} seconds", "{seconds} 秒内没有变化"),
    "release": ("After it was taken", "取走之后"),
    "archive": ("the file is moved to the archive", "文件移入归档"),
    "keep": ("the file stays", "文件保留"),
    "delete": ("the file is deleted", "文件删除"),
    "wait": ("Waits for a file", "等待文件"),
    "minutes": ("{count} minutes", "{count} 分钟"),
    "repeated": ("The same content again", "相同内容再次送来"),
    "repeated.duplicate": ("is a duplicate and is not read", "视为重复，不再读取"),
    "repeated.accept": ("is read again, report by report", "再次读取，逐单判断"),
    "files_max": ("Files in a run, at most", "每次运行最多文件数"),
    "encoding": ("Encoding", "编码"),
    "delimiter": ("Delimiter", "分隔符"),
    "tab": ("tab", "制表符"),
    "quotes": ("Quotes", "引号"),
    "quotes.enclose": ("enclose fields", "用于包围字段"),
    "quotes.plain": ("are characters like any other", "视为普通字符"),
    "line_breaks": ("Line breaks inside fields", "字段内换行"),
    "decimal": ("Decimal sign", "小数点"),
    "thousands": ("Thousands sign", "千位分隔符"),
    "numbers": ("Numbers", "数字"),
    "plus_sign": ("may begin with +", "可以以 + 开头"),
    "extra_zeros": ("may have zeros beyond the decimals of the currency", "小数可以多于币种位数，多出部分须为零"),
    "dates": ("Dates", "日期格式"),
    "times": ("Times", "时间格式"),
    "preamble": ("Lines above the header", "表头上方的行"),
    "mark": ("line {line}: {text}", "第 {line} 行：{text}"),
    "trailer": ("Trailer", "尾行"),
    "trailer_is": ("begins with {mark}", "以 {mark} 开头"),
    "trailer_count": ("number of records in field {place}", "第 {place} 个字段为记录数"),
    "trailer_sum": ("sum of {column} in field {place}", "第 {place} 个字段为 {column} 的合计"),
    "control_header": ("Control header", "控制首行"),
    "control_width": ("{count} fields", "{count} 个字段"),
    "control_keep": ("{name} in field {place}", "第 {place} 个字段为 {name}"),
    "records": ("Records", "记录"),
    "count": ("Number of records stated at", "记录数所在位置"),
    "limits": ("Limits", "上限"),
    "limit.bytes": ("{count} bytes", "{count} 字节"),
    "limit.rows": ("{count} rows", "{count} 行"),
    "limit.field_characters": ("{count} characters in a field", "每个字段 {count} 个字符"),
    "limit.depth": ("{count} levels of nesting", "嵌套 {count} 层"),
    "approved_list": ("Approved reports are listed in", "已批准报销单的清单位于"),
    "sequence": ("Files are numbered without gaps by", "文件编号连续，编号取自"),
    "columns": ("Columns of the file", "文件的列"),
    "layouts": (
        "The file may have any of {count} headers; every other header is refused.",
        "文件可以是 {count} 种表头之一，其他表头一律拒收。",
    ),
    "layout": ("The file has this header; every other header is refused.", "文件必须是此表头，其他表头一律拒收。"),
    "positions_note": (
        "The file has no header: columns are known by position, and every record has {width} fields.",
        "文件没有表头：列按位置识别，每条记录有 {width} 个字段。",
    ),
    "json_note": (
        "Each file is one JSON document. Each innermost element becomes a row with the columns of all levels above it;"
        " where several levels give a column, the deepest counts. A name that is neither read nor listed as left unread"
        " refuses the file.",
        "每个文件是一个 JSON 文档。每个最内层元素成为一行，并带有其上各层的列；多层给出同一列时以最深层为准。"
        "既未读取也未列为不读取的名称会使整个文件被拒收。",
    ),
    "levels": ("Levels of the document", "文档的层级"),
    "the_document": ("the document itself", "文档本身"),
    "array": ("Array", "数组"),
    "level": ("Level", "层级"),
    "number_column": ("Numbered in", "序号列"),
    "marks": ("What must stand there", "须有的标记"),
    "mark_is": ("{path} is {text}, or empty", "{path} 为 {text} 或为空"),
    "unread": ("Left unread on purpose", "有意不读取"),
    "read_from": ("Level, and where it is read there", "层级及其中的读取位置"),
    "json.level": ("{level}: {text}", "{level}：{text}"),
    "json.number": ("number of the element in the file, from 1", "元素在文件中的序号，从 1 起"),
    "json.value": ("always {value}", "固定为 {value}"),
    "json.first": ("the first that is filled: {paths}", "以下首个非空者：{paths}"),
    "json.absent": ("{text}; {value} when it is empty", "{text}；为空时取 {value}"),
    "json.as_number": ("{text}, a JSON number", "{text}，须为 JSON 数字"),
    "json.sibling": (
        "{take} of the one element of {array}, beside this array, that has or lists its {where}",
        "与本数组并列的 {array} 中，含有其 {where} 的唯一元素的 {take}",
    ),
    "for_sums": ("not booked; for the sums {sums}", "不入账；用于求和校验 {sums}"),
    "number": ("No.", "序号"),
    "column": ("Column", "列"),
    "in_headers": ("Headers", "所在表头"),
    "written_as": ("{number} (written {text})", "{number}（写作 {text}）"),
    "becomes": ("Becomes", "成为字段"),
    "not_used": ("not used", "未使用"),
    "type": ("Type", "类型"),
    "length": ("Length, at most", "最大长度"),
    "required": ("Required", "必填"),
    "format": ("Format", "格式"),
    "kind.code": ("code", "代码"),
    "kind.text": ("text", "文本"),
    "kind.date": ("date", "日期"),
    "kind.time": ("time", "时间"),
    "kind.money": ("amount", "金额"),
    "kind.integer": ("whole number", "整数"),
    "kind.currency": ("currency", "币种"),
    "kind.rate": ("rate", "汇率"),
    "kind.percent": ("percentage", "百分比"),
    "percent_format": ("13 or 13%", "13 或 13%"),
    "kind.number": ("number", "数值"),
    "iso_currency": ("ISO 4217", "ISO 4217"),
    "positive_decimal": ("a decimal above 0", "大于 0 的小数"),
    "money_format": (
        "decimal sign {decimal}, as many decimals as the currency has",
        "小数点为 {decimal}，小数位数同币种",
    ),
    "zoned": ("{format}, times of {zone}", "{format}，时区 {zone}"),
    "decimals": ("at most {count} decimals", "最多 {count} 位小数"),
    "alias": ("{text} is read as {code}", "{text} 视为 {code}"),
    "upper": ("made upper case", "转为大写"),
    "nfkc": ("full-width forms become plain ones", "全角转半角"),
    "drops": ("control characters are removed", "去除控制字符"),
    "as.first_day_of_month": ("a month, read as its first day", "月份，取当月第一天"),
    "as.last_day_of_month": ("a month, read as its last day", "月份，取当月最后一天"),
    "pattern": ("pattern {pattern}", "格式 {pattern}"),
    # --- expense lines
    "lines": ("Expense line", "费用明细"),
    "lines_note": (
        "Each row of the file becomes an expense line with these fields. Fields that are not listed stay empty.",
        "文件的每一行成为一条费用明细，字段如下。未列出的字段为空。",
    ),
    "field": ("Field", "字段"),
    "meaning": ("Meaning", "含义"),
    "from": ("From", "来源"),
    "defined": ("Defined in", "定义位置"),
    "from.column": ("column {column}", "列 {column}"),
    "from.columns": ("the first of the columns {columns} that the file has", "以下列中文件所含的第一列：{columns}"),
    "from.first_of": (
        "row by row the first that is filled: {columns}",
        "逐行取以下首个非空者：{columns}",
    ),
    "from.sum": ("the sum of the columns {columns}", "以下各列之和：{columns}"),
    "from.braces": (
        "a text with braces is filled when the columns in them are",
        "含花括号的文本在其各列均非空时视为非空",
    ),
    "from.value": ("always {value}", "固定为 {value}"),
    "from.file": ("part {group} of the file name", "文件名中的 {group} 部分"),
    "from.template": ("made of {template}", "由 {template} 组成"),
    "from.absent": ("{source}; {value} where the file has no such column", "{source}；文件无此列时为 {value}"),
    "from.unpivot": ("one line for each cost column that is not zero", "每个不为零的费用列成为一条明细"),
    "unpivot_column": ("{field} of expense type {expense_type}", "费用类型 {expense_type} 的 {field}"),
    "split": (
        "A line in parts: {weight} gives each part's share of {whole}; {amounts} are split by it, the parts add up.",
        "费用分摊：{weight} 为各部分占 {whole} 的份额；{amounts} 按此分摊，各部分之和等于总额。",
    ),
    # --- checks
    "checks": ("Checks", "校验"),
    "checks_note": (
        "A report that fails one of these is quarantined whole, with all its reasons; the other reports go on.",
        "报销单只要有一项不符，整单隔离并列出全部原因；其他报销单照常处理。",
    ),
    "check": ("Check", "校验项"),
    "code": ("Code", "代码"),
    "check.states": ("The state is {states}.", "状态为 {states}。"),
    "check.withdrawn": (
        "The state {states} withdraws a report: what is booked of it is reversed; no other check judges it.",
        "状态为 {states} 即撤回报销单：已入账的予以冲销，不再作其他校验。",
    ),
    "check.sum.total": (
        "Over the rows that agree in {per}, the sum of {parts} is the sum of {total}.",
        "{per} 相同的各行，{parts} 之和等于 {total} 之和。",
    ),
    "check.sum.stated": (
        "Over the rows that agree in {per}, the sum of {parts} is the stated {total}; where it is empty, nothing is"
        " checked.",
        "{per} 相同的各行，{parts} 之和等于声明的 {total}；{total} 为空时不校验。",
    ),
    "plus": (" + ", " + "),
    "check.dates": ("Every date lies between {from} and {to}.", "所有日期在 {from} 至 {to} 之间。"),
    "check.age_days_max": (
        "A cost is at most {days} days old on the day of its approval.",
        "费用日期距批准日不超过 {days} 天。",
    ),
    "check.not_after_approval": ("No cost lies after the day of its approval.", "费用日期不晚于批准日。"),
    "check.report_total": ("The lines add up to the stated total, per currency.", "各币种明细之和等于报销单总额。"),
    "check.tax": (
        "Tax fits the rate of its code in tables/{file}, to one minor unit.",
        "税额与 tables/{file} 中税码的税率相符，误差不超过一个最小货币单位。",
    ),
    "check.references": (
        "{field} is known in tables/{file} on the day of the cost (key {key}).",
        "{field} 在费用发生日存在于 tables/{file}（键 {key}）。",
    ),
    "check.zero": ("No line is zero.", "没有金额为零的明细。"),
    "check.refunds": ("No line is below zero.", "没有金额为负的明细。"),
    "check.invoice_repeated": (
        "An invoice (number, date, currency, amount) is claimed once; a second time: {severity}.",
        "同一发票（号码、日期、币种、金额）只报销一次；重复时：{severity}。",
    ),
    "check.sod": ("The approver is not the claimant.", "批准人不是报销人。"),
    "policy": ("Policy rules", "政策规则"),
    "rule": ("Rule", "规则"),
    "when": ("When", "条件"),
    "then": ("Then", "处理"),
    "message": ("Message", "提示"),
    "reject": ("rejected", "拒收"),
    "hold": ("held", "挂起"),
    "warn": ("warned", "提醒"),
    "gate": ("The delivery as a whole", "整批交付"),
    "gate_note": (
        "A delivery outside these limits is held with VOLUME until finance agrees.",
        "超出以下范围的交付以 VOLUME 挂起，直到财务同意。",
    ),
    "gate.reports": ("Reports", "报销单数"),
    "gate.lines": ("Lines", "明细数"),
    "gate.approval_days": ("Days from submission to approval", "提交到批准的天数"),
    "gate.gross": ("Gross in {currency}", "{currency} 总额"),
    "gate.quarantined_pct_max": ("Quarantined, in percent", "隔离比例（%）"),
    "gate.largest_company_pct_max": ("Share of the largest company, in percent", "最大法人主体占比（%）"),
    "gate.largest_currency_pct_max": ("Share of the largest currency, in percent", "最大币种占比（%）"),
    "gate.pct_from_reports": ("Shares count from this number of reports on", "报销单数达到后才判断比例"),
    "gate.history": (
        "Against the last {deliveries} deliveries, from {from} on",
        "与最近 {deliveries} 次交付相比（满 {from} 次起）",
    ),
    "gate.history_is": (
        "at most {lines} times their mean lines; gross at most {sigmas} standard deviations above their mean",
        "明细数不超过均值的 {lines} 倍；总额不超过均值加 {sigmas} 个标准差",
    ),
    "limit": ("Limit", "范围"),
    "at_least": ("at least {min}", "至少 {min}"),
    "at_most": ("at most {max}", "最多 {max}"),
    "between": ("{min} to {max}", "{min} 至 {max}"),
    # --- errors
    "errors": ("Error codes", "错误代码"),
    "errors_note": (
        "The codes that this interface can give, with who acts and the next step.",
        "本接口可能出现的代码、负责方和处理方法。",
    ),
    "next_step": ("Next step", "处理方法"),
}  # fmt: skip


class Words:
    """The phrases of one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.place = LANGUAGES.index(language)

    def __call__(self, phrase: str, **facts: object) -> str:
        """A phrase with its facts put in."""
        return PHRASES[phrase][self.place].format(**facts)

    def all(self, *phrases: str) -> tuple[str, ...]:
        """Several phrases without facts: the headings of a table."""
        return tuple(self(phrase) for phrase in phrases)

    def listed(self, texts: Iterable[str]) -> str:
        """Texts as a list in a sentence."""
        return self("list").join(texts)

    def also(self, texts: Iterable[str]) -> str:
        """The texts that say something, one after the other."""
        return self("also").join(text for text in texts if text)

    def where(self, document: Document, *path: str | int) -> str:
        """File and line of a part of a mapping."""
        return self("where", file=document.file, line=document.line(*path))

    def yes(self, value: bool) -> str:
        """yes or nothing: a table is easier to read when only what holds is written."""
        return self("yes") if value else ""
