// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

import Colibri
import Testing

@Suite struct ColibriErrorTests {
    static let rows: [(ColibriError, String, String, String?, Int)] = [
        (.conferenceAlreadyExists("m"), "conflict", "cancel", "conference_already_exists", 400),
        (.conferenceNotFound("m"), "item-not-found", "cancel", "conference_not_found", 404),
        (.unknownEndpoint("abcd"), "item-not-found", "cancel", "unknown_endpoint", 400),
        (.endpointAlreadyExists("e"), "conflict", "cancel", nil, 400),
        (.gracefulShutdown, "service-unavailable", "cancel", "graceful_shutdown", 400),
        (.badRequest("why"), "bad-request", "modify", nil, 400),
        (.notImplemented("what"), "feature-not-implemented", "cancel", nil, 400),
        (
            .notImplemented("what", reason: .featureNotImplemented), "feature-not-implemented", "cancel",
            "feature_not_implemented", 400
        ),
        (ColibriError(.internalServerError, text: ""), "internal-server-error", "cancel", nil, 400),
        (ColibriError(.forbidden, text: "no"), "forbidden", "auth", nil, 400),
    ]

    @Test(arguments: rows)
    func `prints condition, reason and status`(
        _ error: ColibriError, _ condition: String, _ type: String, _ reason: String?, _ status: Int
    ) throws {
        let element = error.xml()
        #expect(element.matches("error", XMLNamespace.client) && element["type"] == type)
        #expect(element.children.first?.matches(condition, XMLNamespace.stanzas) == true)
        #expect(element.first("text", XMLNamespace.stanzas)?.text ?? "" == error.text)
        #expect(element.first("error", XMLNamespace.colibri2)?["reason"] == reason)
        #expect(element.first("endpoint", XMLNamespace.colibri2)?["id"] == error.endpointID)
        #expect(error.httpStatus == status)
        #expect(error.json()["condition"]?.string == condition && error.json()["reason"]?.string == reason)
        #expect(error.json()["text"]?.string == error.text)
    }

    @Test func `has the shape jicofo expects`() {
        #expect(
            String(
                decoding: ColibriError.unknownEndpoint("abcd1234").xml().serialized(
                    parentNamespace: XMLNamespace.client),
                as: UTF8.self)
                == "<error type=\"cancel\"><item-not-found xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/>"
                + "<text xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\" xml:lang=\"en\">Unknown endpoint: abcd1234</text>"
                + "<error xmlns=\"jitsi:colibri2\" reason=\"unknown_endpoint\"/>"
                + "<endpoint xmlns=\"jitsi:colibri2\" id=\"abcd1234\"/></error>")
    }

    @Test func `every condition has a type of RFC 6120`() {
        for condition in StanzaErrorCondition.allCases {
            #expect(["auth", "cancel", "modify", "wait"].contains(condition.type))
        }
    }
}
