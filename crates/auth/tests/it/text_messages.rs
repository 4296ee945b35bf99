//! Text messages through each provider, whose API a stand-in on this machine speaks.

use auth::{Config, MessageBird, Secret, SmsProvider, TextLocal, Twilio, Vonage};
use serde_json::json;

use crate::outside::{StandIn, body, json as answer};
use crate::service::{Service, config};

fn twilio(base: &str) -> Twilio {
    Twilio {
        account_sid: "AC1".into(),
        auth_token: Secret::new("token"),
        message_service_sid: "MG1".into(),
        content_sid: String::new(),
        base_url: Some(base.into()),
    }
}

fn with(provider: SmsProvider) -> Config {
    let mut config = config();
    config.external.phone_enabled = true;
    config.sms.provider = provider;
    config.sms.template = "Your code is {{ .Code }}, ünïcode".into();
    config
}

/// Signs up with a number; returns status and body of the answer.
async fn sign_up(service: &Service) -> (u16, String) {
    let body = json!({"phone": "+1 555 0100", "password": "secret1"});
    let answer = service.post("/signup", body).newer().send().await;
    (answer.status, answer.body)
}

/// The code in the form that a provider got.
fn code(form: &str) -> String {
    let start = form.find("is+").unwrap_or_else(|| panic!("no code: {form}")) + 3;
    form[start..start + 6].to_owned()
}

#[tokio::test]
async fn every_provider_is_asked_in_its_own_way() {
    let text = |code: &str| format!("Your+code+is+{code}%2C+%C3%BCn%C3%AFcode");
    type Case = (fn(&str) -> SmsProvider, &'static str, &'static str, &'static str, fn(&str) -> String);
    let cases: [Case; 4] = [
        (
            |url| SmsProvider::Twilio(twilio(url)),
            r#"{"sid":"SM1","status":"queued","error_code":null}"#,
            "POST /2010-04-01/Accounts/AC1/Messages.json ",
            "authorization: Basic QUMxOnRva2Vu",
            |text| format!("Body={text}&Channel=sms&From=MG1&To=%2B15550100"),
        ),
        (
            |url| {
                SmsProvider::MessageBird(MessageBird {
                    access_key: Secret::new("key"),
                    originator: "us".into(),
                    base_url: Some(url.into()),
                })
            },
            r#"{"id":"1","recipients":{"totalSentCount":1}}"#,
            "POST /messages ",
            "authorization: AccessKey key",
            |text| format!("body={text}&datacoding=unicode&originator=us&recipients=15550100&type=sms"),
        ),
        (
            |url| {
                SmsProvider::TextLocal(TextLocal {
                    api_key: Secret::new("key"),
                    sender: "us".into(),
                    base_url: Some(url.into()),
                })
            },
            r#"{"status":"success"}"#,
            "POST /send ",
            "content-type: application/x-www-form-urlencoded",
            |text| format!("apikey=key&message={text}&numbers=15550100&sender=us"),
        ),
        (
            |url| {
                SmsProvider::Vonage(Vonage {
                    api_key: "key".into(),
                    api_secret: Secret::new("s"),
                    from: "us".into(),
                    base_url: Some(url.into()),
                })
            },
            r#"{"messages":[{"message-id":"1","status":"0"}]}"#,
            "POST /sms/json ",
            "content-type: application/x-www-form-urlencoded",
            |text| format!("api_key=key&api_secret=s&from=us&text={text}&to=15550100&type=unicode"),
        ),
    ];
    for (provider, said, path, header, form) in cases {
        let stand_in = StandIn::answering(&[&answer(said)]).await;
        let service = Service::start_with(with(provider(&stand_in.url))).await;
        let (status, answer) = sign_up(&service).await;
        assert_eq!(status, 200, "{path}: {answer}");
        let asked = stand_in.asked();
        assert_eq!(asked.len(), 1, "{path}");
        assert!(asked[0].starts_with(path), "{}", asked[0]);
        assert!(asked[0].contains(header), "{}", asked[0]);
        let code = code(body(&asked[0]));
        assert_eq!(body(&asked[0]), form(&text(&code)));
        let typed = json!({"type": "sms", "phone": "+15550100", "token": code});
        assert_eq!(service.post("/verify", typed).send().await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn what_a_provider_refuses_is_told_in_its_words() {
    let bird = |url: &str| {
        SmsProvider::MessageBird(MessageBird {
            access_key: Secret::new("key"),
            originator: "us".into(),
            base_url: Some(url.into()),
        })
    };
    let local = |url: &str| {
        SmsProvider::TextLocal(TextLocal {
            api_key: Secret::new("key"),
            sender: "us".into(),
            base_url: Some(url.into()),
        })
    };
    let vonage = |url: &str| {
        SmsProvider::Vonage(Vonage {
            api_key: "key".into(),
            api_secret: Secret::new("s"),
            from: "us".into(),
            base_url: Some(url.into()),
        })
    };
    let twilio = |url: &str| SmsProvider::Twilio(twilio(url));
    type Case<'a> = (&'a dyn Fn(&str) -> SmsProvider, &'static str, &'static str);
    let cases: [Case<'_>; 6] = [
        (
            &twilio,
            "400 Bad Request\n\n{\"code\":21211,\"message\":\"No such number.\",\"more_info\":\"https://t/21211\"}",
            "No such number. More information: https://t/21211",
        ),
        (
            &twilio,
            "201 Created\n\n{\"sid\":\"SM1\",\"status\":\"failed\",\"error_code\":30005,\"error_message\":\"gone\"}",
            "twilio error: gone 30005 for message SM1",
        ),
        (
            &bird,
            "422 No\n\n{\"errors\":[{\"code\":9,\"description\":\"no (correct) recipients\"}]}",
            "no (correct) recipients",
        ),
        (
            &bird,
            "200 OK\n\n{\"id\":\"1\",\"recipients\":{\"totalSentCount\":0}}",
            "messagebird error: total sent count is 0",
        ),
        (
            &local,
            "200 OK\n\n{\"status\":\"failure\",\"errors\":[{\"code\":7,\"message\":\"no credit\"}]}",
            "textlocal error: no credit (code: 7) message ",
        ),
        (
            &vonage,
            "200 OK\n\n{\"messages\":[{\"status\":\"4\",\"error-text\":\"bad key\",\"message-id\":\"x\"}]}",
            "vonage error: bad key (status: 4) for message x",
        ),
    ];
    for (provider, said, reason) in cases {
        let stand_in = StandIn::answering(&[said]).await;
        let service = Service::start_with(with(provider(&stand_in.url))).await;
        let expected = json!({"code": "sms_send_failed", "message": format!("Error sending confirmation OTP to provider: {reason}")});
        assert_eq!(sign_up(&service).await, (422, expected.to_string()));
        assert_eq!(service.sql("select count(*) from auth.users").await, "0");
    }
}

#[tokio::test]
async fn codes_of_twilio_verify_are_checked_there() {
    let refused = "{\"status\":\"pending\",\"valid\":false}";
    let accepted = "{\"status\":\"approved\",\"valid\":true}";
    let stand_in =
        StandIn::answering(&[&answer("{\"sid\":\"VE1\"}"), &answer(refused), &answer(accepted)]).await;
    let service = Service::start_with(with(SmsProvider::TwilioVerify(twilio(&stand_in.url)))).await;
    assert_eq!(sign_up(&service).await.0, 200);
    let typed = json!({"type": "sms", "phone": "+15550100", "token": "424242"});
    let answer = service.post("/verify", typed.clone()).newer().send().await;
    assert_eq!((answer.status, answer.json()["code"].as_str().unwrap()), (403, "otp_expired"));
    assert_eq!(service.post("/verify", typed).send().await.status, 200);
    let asked = stand_in.asked();
    assert!(asked[0].starts_with("POST /v2/Services/MG1/Verifications "), "{}", asked[0]);
    assert_eq!(body(&asked[0]), "Channel=sms&To=%2B15550100");
    assert!(asked[1].starts_with("POST /v2/Services/MG1/VerificationCheck "), "{}", asked[1]);
    assert_eq!(body(&asked[1]), "Code=424242&To=%2B15550100");
}

#[tokio::test]
async fn whatsapp_goes_through_twilio_only() {
    let stand_in = StandIn::answering(&[&answer("{\"sid\":\"SM1\"}")]).await;
    let content = Twilio { content_sid: "HX1".into(), ..twilio(&stand_in.url) };
    let service = Service::start_with(with(SmsProvider::Twilio(content))).await;
    let body_of = json!({"phone": "15550100", "password": "secret1", "channel": "whatsapp"});
    assert_eq!(service.post("/signup", body_of.clone()).send().await.status, 200);
    let asked = stand_in.asked();
    let form = body(&asked[0]);
    assert!(form.starts_with("Channel=whatsapp&ContentSid=HX1&ContentVariables=%7B%221%22%3A+%22"), "{form}");
    assert!(form.ends_with("&From=MG1&To=whatsapp%3A%2B15550100"), "{form}");
    let service = Service::start_with(with(SmsProvider::Vonage(Vonage::default()))).await;
    assert_eq!(service.post("/signup", body_of).send().await.status, 400);
}

#[tokio::test]
async fn a_provider_without_its_settings_is_a_500() {
    let service = Service::start_with(with(SmsProvider::Twilio(Twilio::default()))).await;
    let expected = json!({"code": "unexpected_failure", "message": "Unable to get SMS provider"});
    assert_eq!(sign_up(&service).await, (500, expected.to_string()));
}
