// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What a bridge shows of itself in the brewery: a presence whose `stats` element Jicofo chooses bridges by.
public enum BreweryPresence {
    /// The `stats` element. Values are text: booleans `true` and `false`, numbers in any form that Java reads. Jicofo
    /// takes a bridge without `drain` for one that is draining.
    public static func statistics(_ values: [(name: String, value: String)]) -> XMLElement {
        let namespace = XMLNamespace.colibri1
        return XMLElement(
            "stats", namespace: namespace,
            children: values.map { XMLElement("stat", namespace: namespace, ["name": $0.name, "value": $0.value]) })
    }

    /// Presence to enter the room with (XEP-0045 section 7.2), statistics included, so that Jicofo knows the bridge at
    /// once.
    static func join(_ occupant: JID, id: String, statistics: XMLElement?) -> XMLElement {
        var presence = update(occupant, statistics: statistics)
        presence["id"] = id
        presence.children.insert(XMLElement("x", namespace: XMLNamespace.muc), at: 0)
        return presence
    }

    /// Presence of an occupant. It has no MUC element: that would make the server send the whole room again.
    static func update(_ occupant: JID, statistics: XMLElement?) -> XMLElement {
        XMLElement(
            "presence", namespace: XMLNamespace.client, ["to": occupant.description],
            children: statistics.map { [$0] } ?? [])
    }

    /// Presence to leave with.
    static func leave(_ occupant: JID) -> XMLElement {
        XMLElement(
            "presence", namespace: XMLNamespace.client, ["to": occupant.description, "type": "unavailable"])
    }
}
