"""The things that followers of the simulated account can do: posters, menu entries, texts."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Code", "Letter", "Poster", "Repertoire"]


@dataclass(frozen=True, slots=True)
class Poster:
    """A QR code that hangs somewhere: a campaign's scene. `weight`: how often people scan it."""

    scene: str
    ticket: str
    weight: float = 1


@dataclass(frozen=True, slots=True)
class Code:
    """A QR code that is shown to one person, such as a binding code.

    `made_at` is in Unix seconds: nobody scans the code before.
    """

    scene: str = field(repr=False)
    ticket: str = field(repr=False)
    made_at: int


@dataclass(frozen=True, slots=True)
class Letter:
    """A customer-service message that reached a follower.

    `choices` are the ids and texts of the answers to tap, if it has any.
    """

    openid: str
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Repertoire:
    """What the account offers, and what its followers write. People prefer the first menu entries.

    `menu_keys`, `urls` and `pages` are the keys, addresses and mini program pages in the menu.
    `tools` has event and key of each entry that opens scanner, camera or map. People who scanned a
    `Code` before write `unbind_text`; those who got a message write `answers`. `places` are
    latitude, longitude and address.
    """

    posters: tuple[Poster, ...] = (
        Poster("metro-poster", "gQH47zwAAAAAAAAAAS5odHRwOi8vd2VpeGluLnFxLmNvbS9xLzAx", 3),
        Poster("100245", "gQFe8DwAAAAAAAAAAS5odHRwOi8vd2VpeGluLnFxLmNvbS9xLzAy", 1),
    )
    menu_keys: tuple[str, ...] = ("MENU_MY_ORDERS", "MENU_COUPONS", "MENU_CONTACT")
    urls: tuple[str, ...] = (
        "https://www.example.com/shop?from=menu&v=2",
        "https://www.example.com/stores",
    )
    pages: tuple[str, ...] = ("pages/index/index?src=menu",)
    tools: tuple[tuple[str, str], ...] = (("scancode_waitmsg", "MENU_SCAN_GOODS"),)
    texts: tuple[str, ...] = (
        "你好",
        "营业时间",
        "优惠",
        "人工客服",
        "请问今天还能发货吗？",
        "谢谢 😀🎉",
        "👨‍👩‍👧 周末一起来",
        "/::) 好的",
        "[微笑]",
        "规则 & 时间 <必读> ]]>",
        "第一行\n第二行",
        "Where is my order?",
        "【收到不支持的消息类型，暂无法显示】",
    )
    unbind_text: str = "解绑"
    answers: tuple[str, ...] = ("好的，谢谢！", "知道了 👌", "收到，麻烦了", "那我周末过来")
    places: tuple[tuple[str, str, str], ...] = (
        ("31.230391", "121.473701", "上海市黄浦区人民大道200号"),
        ("30.245853", "120.209947", "杭州市上城区钱江路"),
        ("22.543096", "114.057865", "深圳市福田区福中三路"),
    )
