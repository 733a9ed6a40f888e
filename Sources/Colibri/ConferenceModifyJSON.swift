// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The JSON form of `conference-modify`, as the REST interface of JVB takes it. It is turned into the XML form first,
/// so that there is one grammar, one set of limits and one set of errors.
extension ConferenceModify {
    /// Reads the body of a request. `meetingID` is the one in the path of the URL, if the method has it there; it wins
    /// over the one in the body.
    public init(json: JSONValue, meetingID: String? = nil) throws(ColibriError) {
        var element = try XMLElement(conferenceModify: json)
        if let meetingID { element["meeting-id"] = meetingID }
        try self.init(xml: element)
    }
}

extension XMLElement {
    /// The `conference-modify` element that says the same as the JSON.
    init(conferenceModify json: JSONValue) throws(ColibriError) {
        self = try .init("conference-modify", XMLNamespace.colibri2, scalarsOf: json)
        try append(eachOf: json["endpoints"], "endpoints", Self.endpoint)
        try append(eachOf: json["relays"], "relays") { relay throws(ColibriError) in
            try XMLElement("relay", XMLNamespace.colibri2, scalarsOf: relay)
        }
        if let connects = json["connects"] {
            var child = XMLElement("connects", namespace: XMLNamespace.colibri2)
            try child.append(eachOf: connects, "connects") { connect throws(ColibriError) in
                try XMLElement("connect", XMLNamespace.colibri2, scalarsOf: connect)
            }
            append(child)
        }
    }

    /// An element whose attributes are the strings, numbers and booleans of an object; what is nested has its own
    /// rules.
    private init(_ name: String, _ namespace: String, scalarsOf json: JSONValue) throws(ColibriError) {
        guard let object = json.object else { throw .badRequest("\(name) is not a JSON object") }
        self.init(name, namespace: namespace)
        for member in object.members {
            guard let text = Self.text(of: member.value) else { continue }
            attributes.append(Attribute(name: member.key, value: text))
        }
    }

    /// A scalar as an attribute would spell it.
    private static func text(of value: JSONValue) -> String? {
        switch value {
        case .string(let string): string
        case .bool(let flag): flag ? "true" : "false"
        case .integer, .number: value.int64.map { String($0) } ?? value.description
        case .null, .array, .object: nil
        }
    }

    /// One child for each element of an array. An absent one and null are empty; anything else is an error.
    private mutating func append(
        eachOf json: JSONValue?, _ key: String, _ element: (JSONValue) throws(ColibriError) -> XMLElement
    ) throws(ColibriError) {
        guard let json, json != .null else { return }
        guard let array = json.array else { throw .badRequest("\(key) is not a JSON array") }
        for value in array { append(try element(value)) }
    }

    private static func endpoint(_ json: JSONValue) throws(ColibriError) -> XMLElement {
        var element = try XMLElement("endpoint", XMLNamespace.colibri2, scalarsOf: json)
        try element.append(eachOf: json["medias"], "medias", media)
        if let transport = json["transport"], transport != .null { element.append(try Self.transport(transport)) }
        if let list = json["sources"], list != .null {
            var sources = XMLElement("sources", namespace: XMLNamespace.colibri2)
            try sources.append(eachOf: list, "sources", mediaSource)
            element.append(sources)
        }
        for name in ["force-mute", "initial-last-n"] {
            guard let value = json[name], value != .null else { continue }
            element.append(try XMLElement(name, XMLNamespace.colibri2, scalarsOf: value))
        }
        try element.append(eachOf: json["capabilities"], "capabilities") { name throws(ColibriError) in
            guard let name = name.string else { throw .badRequest("A capability is not a string") }
            return XMLElement("capability", namespace: XMLNamespace.colibri2, ["name": name])
        }
        return element
    }

    // MARK: Media

    private static func media(_ json: JSONValue) throws(ColibriError) -> XMLElement {
        var element = try XMLElement("media", XMLNamespace.colibri2, scalarsOf: json)
        try element.append(eachOf: json["payload-types"], "payload-types", payloadType)
        try element.append(eachOf: json["rtp-hdrexts"], "rtp-hdrexts") { value throws(ColibriError) in
            try XMLElement("rtp-hdrext", XMLNamespace.headerExtension, scalarsOf: value)
        }
        if json["extmap-allow-mixed"]?.bool == true {
            element.append(XMLElement("extmap-allow-mixed", namespace: XMLNamespace.headerExtension))
        }
        return element
    }

    private static func payloadType(_ json: JSONValue) throws(ColibriError) -> XMLElement {
        var element = try XMLElement("payload-type", XMLNamespace.rtp, scalarsOf: json)
        try element.append(parameters: json["parameters"])
        try element.append(eachOf: json["rtcp-fbs"], "rtcp-fbs") { value throws(ColibriError) in
            try XMLElement("rtcp-fb", XMLNamespace.rtcpFeedback, scalarsOf: value)
        }
        return element
    }

    /// An object of names and values. JSON has no null keys; JVB writes "null" for a parameter without name.
    private mutating func append(parameters json: JSONValue?) throws(ColibriError) {
        guard let json, json != .null else { return }
        guard let object = json.object else { throw .badRequest("parameters is not a JSON object") }
        for member in object.members {
            append(
                XMLElement(
                    "parameter", namespace: XMLNamespace.rtp,
                    ["name": member.key == "null" ? nil : member.key, "value": Self.text(of: member.value)]))
        }
    }

    // MARK: Transport

    private static func transport(_ json: JSONValue) throws(ColibriError) -> XMLElement {
        var element = try XMLElement("transport", XMLNamespace.colibri2, scalarsOf: json)
        if let sctp = json["sctp"], sctp != .null {
            element.append(try XMLElement("sctp", XMLNamespace.colibri2, scalarsOf: sctp))
        }
        guard let ice = json["transport"], ice != .null else { return element }
        var child = try XMLElement("transport", XMLNamespace.iceUDP, scalarsOf: ice)
        if child["rtcp-mux"] == "true" { child.append(XMLElement("rtcp-mux", namespace: XMLNamespace.iceUDP)) }
        try child.append(eachOf: ice["fingerprints"], "fingerprints") { value throws(ColibriError) in
            var fingerprint = try XMLElement("fingerprint", XMLNamespace.dtls, scalarsOf: value)
            fingerprint.text = fingerprint["fingerprint"] ?? ""
            return fingerprint
        }
        try child.append(eachOf: ice["web-sockets"], "web-sockets") { url throws(ColibriError) in
            guard let url = url.string else { throw .badRequest("A web socket is not a string") }
            return XMLElement("web-socket", namespace: XMLNamespace.colibri1, ["url": url])
        }
        try child.append(eachOf: ice["candidates"], "candidates") { value throws(ColibriError) in
            try XMLElement("candidate", XMLNamespace.iceUDP, scalarsOf: value)
        }
        element.append(child)
        return element
    }

    // MARK: Sources

    private static func mediaSource(_ json: JSONValue) throws(ColibriError) -> XMLElement {
        var element = try XMLElement("media-source", XMLNamespace.colibri2, scalarsOf: json)
        try element.append(eachOf: json["sources"], "sources", source)
        try element.append(eachOf: json["ssrc-groups"], "ssrc-groups") { value throws(ColibriError) in
            var group = try XMLElement("ssrc-group", XMLNamespace.sourceAttributes, scalarsOf: value)
            try group.append(eachOf: value["sources"], "sources", source)
            return group
        }
        return element
    }

    /// Either an object or nothing but the SSRC.
    private static func source(_ json: JSONValue) throws(ColibriError) -> XMLElement {
        if let ssrc = text(of: json) {
            return XMLElement("source", namespace: XMLNamespace.sourceAttributes, ["ssrc": ssrc])
        }
        var element = try XMLElement("source", XMLNamespace.sourceAttributes, scalarsOf: json)
        try element.append(parameters: json["parameters"])
        return element
    }
}
