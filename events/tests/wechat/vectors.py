"""Check vectors: WeChat's published ones (消息加解密说明), and one of our own, in XML."""

from __future__ import annotations

# Published by WeChat. The messages are JSON there; the cipher is the same.
OFFICIAL_APP_ID = "wxba5fad812f8e6fb9"
OFFICIAL_TOKEN = "AAAAA"
OFFICIAL_AES_KEY = "A" * 43
OFFICIAL_SIGNATURES = [
    # timestamp, nonce, signature
    ("1714036504", "1514711492", "f464b24fc39322e44b38aa78f5edd27bd1441696"),
    ("1714037059", "486452656", "899cf89e464efb63f54ddac96b0a0a235f53aa78"),
    ("1714112445", "415670741", "6c5c811b55cc85e0e1b54100749188c20beb3f5d"),
]
OFFICIAL_PUSH_TIMESTAMP = "1714112445"
OFFICIAL_PUSH_NONCE = "415670741"
OFFICIAL_PUSH_MSG_SIGNATURE = "046e02f8204d34f8ba5fa3b1db94908f3df2e9b3"
OFFICIAL_PUSH_RANDOM = b"a8eedb185eb2fecf"
OFFICIAL_PUSH_MESSAGE = (
    b'{"ToUserName":"gh_97417a04a28d","FromUserName":"o9AgO5Kd5ggOC-bXrbNODIiE3bGY",'
    b'"CreateTime":1714112445,"MsgType":"event","Event":"debug_demo","debug_str":"hello world"}'
)
OFFICIAL_PUSH_ENCRYPT = (
    "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus"
    "8TPxLKJGQqcvZqzDpVzazhZv6JsXUnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj"
    "+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8EajAsjLY2km32IIjdf8YL/P50F7m"
    "StwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04="
)
OFFICIAL_REPLY_TIMESTAMP = "1713424427"
OFFICIAL_REPLY_NONCE = "415670741"
OFFICIAL_REPLY_MSG_SIGNATURE = "1b9339964ed2e271e7c7b6ff2b0ef902fc94dea1"
OFFICIAL_REPLY_RANDOM = b"707722b803182950"
OFFICIAL_REPLY_MESSAGE = b'{"demo_resp":"good luck"}'
OFFICIAL_REPLY_ENCRYPT = (
    "ELGduP2YcVatjqIS+eZbp80MNLoAUWvzzyJxgGzxZO/5sAvd070Bs6qrLARC9nVHm48Y4hyRbtzve1L32tmxSQ=="
)

# Our own: a follow by a parametric QR code (pad value 8) and the answer to it (pad value 32).
APP_ID = "wx3a9f0c27d81be645"
TOKEN = "Rk7mWechatTok2026"
AES_KEY = "mQ3vT8yB1nXc5KzL0pRs7UeWdG2hJ4aF6iOqYtNbVxD"
ORIGINAL_ID = "gh_5f2c81d0a7be"
FOLLOWER = "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E"
PUSH_TIMESTAMP = "1767225661"
PUSH_NONCE = "904417235"
PUSH_SIGNATURE = "299f5a5c512443b41aa8bea2e92aeed0f406f205"
PUSH_MSG_SIGNATURE = "ac6e17d6dd6d6957813988c5709c9f29e89f36e5"
PUSH_RANDOM = b"a1B2c3D4e5F6g7H8"
PUSH_MESSAGE = (
    b"<xml><ToUserName><![CDATA[gh_5f2c81d0a7be]]></ToUserName>"
    b"<FromUserName><![CDATA[oT3xk5QmZb7LwR2nVc9Ys0DfHj4E]]></FromUserName>"
    b"<CreateTime>1767225661</CreateTime><MsgType><![CDATA[event]]></MsgType>"
    b"<Event><![CDATA[subscribe]]></Event><EventKey><![CDATA[qrscene_bind-7F3K]]></EventKey>"
    b"<Ticket><![CDATA[gQFe8DwAAAAAAAAAAS5odHRwOi8vd2VpeGluLnFxLmNvbS9xLzAy]]></Ticket></xml>"
)
PUSH_ENCRYPT = (
    "kAW9WqkTp556HVA0fUcu+z5FTyFts2cIW32HnLLNunQqMcNvO3ZlmcL5rTLtsuvAwkk6F7ZfCKcz7lUw"
    "KhYhfjEs95bKWmtFynGyPwMD6o2AdRgpgW/ST3ED3wy0/sZ4GeBKcgak0QrPwm77kSoL+tUp/6EOW75Y"
    "9dTYSmSGFKAyt5bRkzrQ4eUUPm/9wcshehI2nDcZD8Z5LmB5pRlL16Pet+1nebWnA0zTEl92P5ETIg0h"
    "cIQYW2jyEAWCOLGeCJAd//cx4WEFYcPv74iKD6RfcEL8ut61aXsYt7aIajBnclc9yi4/0BjjTmv4DTQJ"
    "2j8Bu4Dv0pL3+lyroNG45CJqdJWqn8tA7/G72+AsDxESWzFC3gmKVy8lz7QiDsF6KcIlKu95x0YOCyHz"
    "ScSdsmhBw4vroYDXcxJ0cdofjw3MrLKMvJIS25Hd4I+kSwYVmtGk4fUwGBD1E28hy9hdcvsIN6YrSLiR"
    "cU60UzatkOa1w+yOiOYQNatc1AHsyIBlTOGhSatwD21zcJww2Jsi9wJVvk5klkqbtne71CwXI4k="
)
REPLY_TIMESTAMP = 1767225662
REPLY_NONCE = "551203"
REPLY_RANDOM = b"Zz9Yy8Xx7Ww6Vv5U"
REPLY_CONTENT = "绑定成功 🎉"
REPLY_MSG_SIGNATURE = "8d327a65c980e2ac29757c6dd583c64298778bcf"
REPLY_ENCRYPT = (
    "4KY7/SXub8tJkR9ofx1fuJG0VPqppJ60oVkuKN7BrqldiukjBob4Tfwg34oEgb6OFTxdymC/VAvwI0/f"
    "a6/CJaKEx9PSiM8PAnS984ilHzwaijv4/Z2HrdTSU8M9Id+YMsLVxEGq0Ia3U9+SZGhHKaaeLdpkrjxV"
    "E9aGBRqabqrnN3LA1QlIHKuhLIpvMRCH3RtEa8HA7MG4BUKID5opZjWmeCO8KyPlTOxIVor1kiWKal8c"
    "ON7dqc/f8YXpwdR189lEQyS7A3vyc01/deUoAUD+tBwuYsvMGMelYHvi118YYEMEgf0Q1oGd6bZ9H4BA"
    "csgI8hLaVGVfa8g51XkiBCRB0zRtzg1uULCg7hWeRjNrfLy448fSIc/vDbJhcN96KJVZZUdBVuyvJW9J"
    "5hjosxhLnVn1bZcwmywrteTirIo="
)
