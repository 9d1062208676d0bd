"""WeRoBot (https://werobot.readthedocs.io), which answers and stores nothing."""

from __future__ import annotations

import os

from werobot import WeRoBot
from werobot.replies import SuccessReply

robot = WeRoBot(token=os.environ["WECHAT_TOKEN"], enable_session=False)


@robot.key_click(os.environ["CLICK_KEY"])
def contact(message):
    return "客服电话：021-5555 0000，每天 9:00–21:00。"


@robot.filter(os.environ["TEXT"])
def hours(message):
    return "每天 10:00–22:00，节假日照常营业。"


@robot.handler
def everything_else(message):
    return SuccessReply()


application = robot.wsgi
