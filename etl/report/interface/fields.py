"""What the fields of an expense line and of a journal mean, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MEANINGS: Final[Mapping[str, tuple[str, str]]] = {
    # --- expense line
    "company": ("legal entity whose books are written", "记账的法人主体"),
    "report_id": ("number of the expense report", "报销单号"),
    "report_version": ("version of the report", "报销单版本"),
    "line_no": ("number of the line", "行号"),
    "allocation_no": ("number of the part of a split line", "分摊序号"),
    "employee_id": ("who claims", "报销人"),
    "approver_id": ("who approved", "批准人"),
    "department": ("department", "部门"),
    "cost_center": ("cost center", "成本中心"),
    "project": ("project", "项目"),
    "analysis": ("further analysis code", "其他核算维度"),
    "account": ("account", "会计科目"),
    "expense_type": ("kind of cost", "费用类型"),
    "description": ("free text of the claim", "费用说明"),
    "merchant": ("who was paid", "商户"),
    "transaction_date": ("day of the cost", "费用发生日"),
    "start_date": ("first day of the trip", "行程开始日"),
    "submitted_at": ("time of submission", "提交时间"),
    "approved_at": ("time of approval", "批准时间"),
    "updated_at": ("time of the last change", "最后更新时间"),
    "payer": ("who paid: employee, company card, advance", "付款方式：个人、公司卡、借款"),
    "payee": ("who is to be paid", "收款人"),
    "payment_type": ("how it was paid", "支付类型"),
    "side": ("debit or credit, as the source says it", "来源给出的借贷方向"),
    "advance_id": ("advance that is settled", "借款单号"),
    "document_currency": ("currency of the receipt", "原币币种"),
    "gross_minor": ("amount with tax", "含税金额"),
    "tax_code": ("tax code", "税码"),
    "tax_rate_pct": ("tax rate that the line states, in percent", "明细所列税率（%）"),
    "tax_minor": ("tax in the amount", "税额"),
    "reclaimable_tax_minor": ("tax that can be reclaimed", "可抵扣税额"),
    "rate": ("exchange rate", "汇率"),
    "original_currency": ("currency of the purchase", "消费币种"),
    "original_minor": ("amount of the purchase", "消费金额"),
    "report_total_minor": ("total that the report states", "报销单总额"),
    "split_weight": ("share of this part", "分摊份额"),
    "invoice_no": ("invoice number", "发票号"),
    "personal": ("private spending", "个人消费"),
    "state": ("state of the report", "报销单状态"),
    "source_row": ("row of the file", "文件行号"),
    # --- journal
    "journal_id": ("full id of the journal, 64 characters", "凭证完整标识，64 位"),
    "journal_key": ("key of the journal, 16 characters", "凭证键，16 位"),
    "purpose": ("what the line is for", "分录用途"),
    "document_date": ("last day of a cost", "单据日期"),
    "posting_date": ("day that decides the period", "记账日期"),
    "original_date": ("posting date before the period policy", "期间政策调整前的记账日期"),
    "period": ("accounting period", "会计期间"),
    "currency": ("currency of the document", "原币币种"),
    "base_currency": ("currency of the books", "本位币"),
    "rate_date": ("day of the rate", "汇率日期"),
    "rate_source": ("where the rate is from", "汇率来源"),
    "lines": ("number of lines", "分录数"),
    "debit_minor": ("debit in document currency", "原币借方"),
    "credit_minor": ("credit in document currency", "原币贷方"),
    "base_debit_minor": ("debit in the currency of the books", "本位币借方"),
    "base_credit_minor": ("credit in the currency of the books", "本位币贷方"),
    "rounding_minor": ("rounding in the currency of the books", "本位币舍入尾差"),
    "belongs_to": ("key of the journal that this one goes with", "所属凭证的凭证键"),
    "reversal_of": ("key of the journal that this one reverses", "被冲销凭证的凭证键"),
    "content_hash": ("digest of the content", "内容摘要"),
    "party": ("employee or vendor of the line", "往来对象"),
    "text": ("text of the line", "分录摘要"),
    # --- batch
    "batch_id": ("id of the batch", "批次号"),
    "batch_no": ("number of the batch, 15 digits", "批次数字编号，15 位"),
    "batch_line_no": ("number of the line in the batch", "批次内分录序号"),
    "batch_journal_no": ("number of the journal in the batch", "批次内凭证序号"),
}
_OF_JOURNAL: Final[Mapping[str, tuple[str, str]]] = {
    "description": ("text of the journal", "凭证摘要"),
    "line_no": ("number of the journal line", "分录号"),
    "rate": ("exchange rate of the journal", "凭证汇率"),
    "account": ("account of the line", "分录科目"),
}


def meaning(field: str, place: int) -> str:
    """What a field of the expense line means. In: the place of the language in words.LANGUAGES."""
    return MEANINGS[field][place]


def of_journal(field: str, place: int) -> str:
    """What a field means in a journal."""
    return _OF_JOURNAL.get(field, MEANINGS[field])[place]
