"""The words of the made-up claims: descriptions by language and expense type, merchants by company."""

from __future__ import annotations

from typing import Final

_CHINESE: Final = {
    "TAXI": ("机场至客户办公室出租车", "加班打车", "市内交通"),
    "TRAIN": ("上海—北京高铁二等座", "杭州往返高铁", "深圳至广州城际"),
    "AIR": ("上海至深圳机票", "北京往返机票，含改签费", "成都至上海经济舱"),
    "HOTEL": ("住宿两晚", "客户现场住宿", "展会期间住宿（含早餐）"),
    "MEAL": ("出差餐费", "项目组加班餐", "外勤午餐"),
    "OFFICE": ("打印纸和硒鼓", "办公用品", "显示器支架"),
    "PHONE": ("手机话费", "国际漫游", "移动办公流量"),
    "TRAINING": ("会计准则培训", "安全生产培训", "数据库课程"),
    "ENTERTAIN": ("客户招待晚宴", "招待供应商", "节日客户礼品"),
    "FUEL": ("公务车加油", "车辆充电", "长途加油"),
    "PARKING": ("停车费", "高速通行费", "机场停车"),
    "ADV_ISSUE": ("差旅备用金", "项目借款", "展会借款"),
}
_ENGLISH: Final = {
    "TAXI": ("Taxi to the airport", "Ride to the client", "Late ride home"),
    "TRAIN": ("Train to the plant", "Return ticket, second class", "Commuter rail"),
    "AIR": ("Flight to the client", "Return flight, economy", "Rebooking fee"),
    "HOTEL": ("Two nights", "Hotel at the trade fair", "Hotel, client site"),
    "MEAL": ("Lunch on the road", "Team dinner", "Breakfast"),
    "OFFICE": ("Printer paper", "Desk lamp", "Stationery"),
    "PHONE": ("Mobile phone bill", "Roaming", "Data plan"),
    "TRAINING": ("Accounting course", "Safety training", "Conference fee"),
    "ENTERTAIN": ("Dinner with a customer", "Supplier visit", "Gift for a customer"),
    "FUEL": ("Fuel, pool car", "Charging", "Fuel, site visit"),
    "PARKING": ("Parking", "Toll road", "Airport parking"),
    "ADV_ISSUE": ("Cash advance for a trip", "Advance for a fair", "Project advance"),
}
_JAPANESE: Final = {
    "TAXI": ("空港から顧客先へのタクシー", "深夜タクシー", "市内移動"),
    "TRAIN": ("新幹線 東京―大阪", "電車代", "名古屋出張の切符"),
    "AIR": ("福岡往復航空券", "国内線エコノミー", "航空券の変更料"),
    "HOTEL": ("宿泊費 2泊", "展示会の宿泊", "顧客先の宿泊"),
    "MEAL": ("昼食代", "会議の弁当", "出張中の夕食"),
    "OFFICE": ("コピー用紙", "事務用品", "モニター台"),
    "PHONE": ("携帯電話料金", "国際ローミング", "通信費"),
    "TRAINING": ("経理研修", "安全講習", "セミナー参加費"),
    "ENTERTAIN": ("取引先との会食", "接待費", "お歳暮"),
    "FUEL": ("社用車のガソリン", "充電料金", "給油"),
    "PARKING": ("駐車場代", "高速道路料金", "空港駐車場"),
    "ADV_ISSUE": ("出張仮払金", "展示会仮払金", "プロジェクト仮払"),
}
DESCRIPTIONS: Final = (_CHINESE, _ENGLISH, _JAPANESE)
# What tools stumble over and the books must keep as it is: quotes, formulas, markup, rare characters, templates.
SPECIAL: Final = (
    'Dinner with "Big Joe", 4 persons',
    "=SUM(A1)",
    "<b>Taxi</b> & <i>tolls</i>",
    "与𠮷田先生午餐，共3人",
    "'; DROP TABLE lines; --",
    "{0} %s {{7*7}} ${jndi:ldap://x}",
    "+1 guest, @home",
    "-2+3",
    "𠮷野さんと昼食, 3名",
    "Café Zürich – 5 €",
)
# Two per company and expense type, in the order of sandbox.sample.claims.TYPES; all invented.
MERCHANTS: Final = (
    (
        ("申城示例出租", "大江出租"), ("示例铁路", "城际铁路"), ("示例航空", "云上航空"),
        ("江畔示例酒店", "虹桥客栈, 东楼"), ("示例食堂", "老街面馆"), ("示例文具", "办公优选"),
        ("示例移动", "示例电信"), ("示例会计学院", "安全培训中心"), ("外滩示例餐厅", "和平示例饭店"),
        ("示例石化", "示例充电"), ("示例停车场", "示例高速"), ("", ""),
    ),
    (
        ("Example Cab", "City Rides"), ("Example Rail", "Lakeside Rail"), ("Example Air", "Prairie Airways"),
        ("Example Inn", "The Sample Hotel"), ("Joe's Diner", 'Bar "The Ledger"'), ("Example Office", "Paper & Co."),
        ("Example Mobile", "Sample Wireless"), ("Sample School", "SafetyFirst, Inc."), ("Sample Grill", "Chez Exemple"),
        ("Example Fuel", "Sample Charging"), ("Example Parking", "Example Tollway"), ("", ""),
    ),
    (
        ("サンプル交通", "見本タクシー"), ("ＳＲサンプル", "見本メトロ"), ("サンプル航空", "見本エア"),
        ("ホテルサンプル", "見本イン"), ("𠮷田食堂", "弁当のサンプル"), ("サンプル事務機", "見本文具"),
        ("サンプル通信", "ＳＡＭＰＬＥモバイル"), ("見本経営協会", "サンプル安全協会"), ("割烹 見本", "料亭サンプル"),
        ("サンプル石油", "見本充電"), ("サンプル駐車場", "見本高速道路"), ("", ""),
    ),
    (
        ("Example Taxi", "Gulf Ride Sample"), ("Example Bus", "Sample Rail"), ("Example Gulf Air", "Sample Airways"),
        ("Sample Hotel Salmiya", "Marina Inn"), ("Cafe Sample, Salmiya", "Gulf Grill"), ("Sample Books", "Office 1"),
        ("Example Telecom", "Sample Mobile"), ("Sample Institute", "Gulf Safety"), ("Dar Sample", "Example Boom"),
        ("Example Petrol", "Sample Fuel"), ("Airport Parking", "City Parking"), ("", ""),
    ),
)  # fmt: skip
