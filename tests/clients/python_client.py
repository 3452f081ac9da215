"""Calls every route that the PyPI packages universal-mcp-braze and braze-client have of the
Braze-compatible API, asserts on the answers and prints a line of JSON for each.
Environment: BASE_URL, API_KEY, RECEIVER (a URL), CAMPAIGN and CANVAS (ids)."""

import json
import os
from datetime import datetime, timedelta, timezone

import httpx
from braze.client import BrazeClient, BrazeClientError
from loguru import logger
from universal_mcp_braze.app import BrazeApp

BASE_URL, API_KEY = os.environ["BASE_URL"], os.environ["API_KEY"]
RECEIVER, CAMPAIGN, CANVAS = (os.environ[name] for name in ("RECEIVER", "CAMPAIGN", "CANVAS"))


class Key:
    """What the client asks for its credentials."""

    def get_credentials(self):
        return {"api_key": API_KEY}


def show(call, answer):
    print(json.dumps({"call": call, "answer": answer}), flush=True)
    return answer


def refused(call, status, words, function, **arguments):
    """The call is refused with this status, in these words."""
    try:
        function(**arguments)
    except httpx.HTTPStatusError as error:
        message = show(call, error.response.json())["message"]
        assert error.response.status_code == status, error.response.status_code
        assert words in message, message
    else:
        raise AssertionError(f"{call} was not refused")


def after(**distance):
    return (datetime.now(timezone.utc) + timedelta(**distance)).isoformat()


def webhook(path, body):
    headers = {"Content-Type": "application/json", "X-Client": "pypi"}
    url = RECEIVER + path
    message = {"url": url, "request_method": "POST", "request_headers": headers, "body": body}
    return {"webhook": message}


def dispatched(answer):
    assert answer["message"] == "success", answer
    assert len(answer["dispatch_id"]) >= 32, answer
    assert "errors" not in answer, answer


def scheduled(answer):
    dispatched(answer)
    assert len(answer["schedule_id"]) >= 32, answer
    return answer["schedule_id"]


def done(answer):
    assert answer["message"] == "success", answer


def track(app):
    attributes = [
        {"external_id": "pypi-1", "first_name": "Dora", "visits": {"inc": 2}},
        {"external_id": "pypi-2", "first_name": "Emil", "tags": {"add": ["a"]}},
    ]
    event = {"external_id": "pypi-1", "name": "pypi_booked", "time": after(), "properties": {"n": 1}}
    answer = show(
        "users/track", app.track_user_activity(attributes=attributes, events=[event])
    )
    done(answer)
    assert (answer["attributes_processed"], answer["events_processed"]) == (2, 1), answer
    events = [event] * 76
    refused("users/track", 400, "Max Input Length Exceeded", app.track_user_activity, events=events)


def send(app):
    answer = app.send_message(
        broadcast=False,
        external_user_ids=["pypi-1", "pypi-2"],
        recipient_subscription_state="all",
        messages=webhook("/pypi/message", '{"name": "{{${first_name}}}", "id": "{{${user_id}}}"}'),
    )
    dispatched(show("messages/send", answer))
    send_id = show("sends/id/create", app.create_send_by_id(campaign_id=CAMPAIGN, send_id="s1"))
    assert send_id["send_id"] == "s1", send_id
    answer = app.send_campaign_trigger(
        campaign_id=CAMPAIGN,
        send_id="s1",
        trigger_properties={"source": "pypi", "item": "all"},
        recipients=[
            {"external_user_id": "pypi-1", "trigger_properties": {"item": "one"}},
            {"external_user_id": "pypi-2"},
        ],
    )
    dispatched(show("campaigns/trigger/send", answer))
    answer = app.send_canvas_trigger_post(
        canvas_id=CANVAS,
        canvas_entry_properties={"source": "pypi", "item": "shoes"},
        recipients=[{"external_user_id": "pypi-1"}],
    )
    dispatched(show("canvas/trigger/send", answer))
    nobody = {"campaign_id": CAMPAIGN, "recipients": []}
    refused("campaigns/trigger/send", 400, "No Recipients", app.send_campaign_trigger, **nobody)
    alias = {"user_alias": {"alias_name": "a", "alias_label": "b"}}
    refused(
        "campaigns/trigger/send",
        400,
        "user_alias is out of scope",
        app.send_campaign_trigger,
        campaign_id=CAMPAIGN,
        recipients=[alias],
    )


def schedule(app):
    created = app.create_scheduled_message(
        external_user_ids=["pypi-1"],
        schedule={"time": after(hours=2), "in_local_time": False},
        messages=webhook("/pypi/never", "as created"),
    )
    schedule_id = scheduled(show("messages/schedule/create", created))
    changed = app.schedule_message_update(
        schedule_id=schedule_id,
        schedule={"time": after(seconds=2)},
        messages=webhook("/pypi/scheduled", '{"id": "{{${user_id}}}"}'),
    )
    done(show("messages/schedule/update", changed))
    cancelled = app.create_scheduled_message(
        external_user_ids=["pypi-1"],
        schedule={"time": after(hours=1)},
        messages=webhook("/pypi/never", "cancelled"),
    )
    schedule_id = scheduled(show("messages/schedule/create", cancelled))
    done(show("messages/schedule/delete", app.delete_scheduled_message(schedule_id=schedule_id)))
    local = {"time": "2099-01-01T09:00:00", "in_local_time": True}
    refused(
        "messages/schedule/create",
        400,
        "in_local_time is out of scope",
        app.create_scheduled_message,
        external_user_ids=["pypi-1"],
        schedule=local,
        messages=webhook("/pypi/never", "x"),
    )
    triggers = [
        ("campaigns", {"campaign_id": CAMPAIGN}, app.create_schedule,
         app.update_campaign_trigger_schedule, app.delete_campaign_schedule),
        ("canvas", {"canvas_id": CANVAS}, app.create_schedule_trigger,
         app.update_canvas_trigger_schedule, app.schedule_delete_canvas_trigger),
    ]
    for kind, named, create, update, delete in triggers:
        recipients, time = [{"external_user_id": "pypi-1"}], {"time": after(hours=1)}
        created = create(recipients=recipients, schedule=time, **named)
        schedule_id = scheduled(show(f"{kind}/trigger/schedule/create", created))
        named["schedule_id"] = schedule_id
        changed = update(schedule={"time": after(hours=3)}, **named)
        done(show(f"{kind}/trigger/schedule/update", changed))
        done(show(f"{kind}/trigger/schedule/delete", delete(**named)))
    broadcasts = show(
        "messages/scheduled_broadcasts", app.list_scheduled_broadcasts(end_time=after(days=400))
    )
    [weekly] = [one for one in broadcasts["scheduled_broadcasts"] if one["name"] == "weekly"]
    assert weekly["type"] == "Campaign", weekly


def exported(app):
    answer = show("campaigns/list", app.list_campaigns(page=0, sort_direction="desc"))
    done(answer)
    [campaign] = [one for one in answer["campaigns"] if one["id"] == CAMPAIGN]
    assert (campaign["name"], campaign["tags"]) == ("order", ["shop"]), campaign
    assert campaign["is_api_campaign"] is True, campaign
    answer = show("campaigns/details", app.get_campaign_details(campaign_id=CAMPAIGN))
    done(answer)
    [message] = answer["messages"].values()
    assert (message["channel"], message["method"]) == ("webhook", "POST"), message
    series = app.get_campaign_data_series(campaign_id=CAMPAIGN, length=7)
    done(show("campaigns/data_series", series))
    assert len(series["data"]) == 7, series
    assert sum(day["messages"]["webhook"][0]["sent"] for day in series["data"]) >= 2, series
    answer = show("canvas/list", app.list_canvas())
    done(answer)
    assert CANVAS in [canvas["id"] for canvas in answer["canvases"]], answer
    answer = show("canvas/details", app.get_canvas_details(canvas_id=CANVAS))
    done(answer)
    assert answer["name"] == "welcome", answer
    assert len(answer["steps"]) >= 1, answer
    refused("canvas/details", 400, "Invalid Canvas ID", app.get_canvas_details, canvas_id="none")


def second_client():
    """braze-client writes an empty list for what it does not send."""
    client = BrazeClient(api_key=API_KEY, api_url=BASE_URL)
    answer = client.user_track(attributes=[{"external_id": "pypi-3", "first_name": "Finn"}])
    assert show("braze-client users/track", answer)["success"] is True, answer
    assert answer["status_code"] == 201, answer
    answer = client.campaign_trigger_schedule_create(
        campaign_id=CAMPAIGN,
        schedule={"time": after(hours=1)},
        recipients=[{"external_user_id": "pypi-3"}],
    )
    assert show("braze-client schedule/create", answer)["success"] is True, answer
    try:
        client.user_track(events=[{"external_id": "pypi-3", "name": "x", "time": "soon"}])
    except BrazeClientError as error:
        message, errors = error.args
        show("braze-client users/track", {"message": message, "errors": errors})
        assert message.startswith("Valid data must be provided"), message
        assert errors[0]["input_array"] == "events", errors
    else:
        raise AssertionError("an event without a time was not refused")


logger.remove()
client = BrazeApp(integration=Key())
client.base_url = BASE_URL
track(client)
send(client)
schedule(client)
exported(client)
second_client()
