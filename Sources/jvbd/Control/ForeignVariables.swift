// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// Environment variables that other bridges or older images know and this one does not act on, so that an operator is
/// told instead of guessing.

enum ForeignVariables {
    private static let reasons: [String: String] = [
        "XMPP_DOMAIN": "never was a setting of the bridge",
        "XMPP_MUC_DOMAIN": "never was a setting of the bridge",
        "ENABLE_OCTO": "bridge-to-bridge relays are not supported",
        "JVB_OCTO_REGION": "bridge-to-bridge relays are not supported",
        "JVB_OCTO_RELAY_ID": "bridge-to-bridge relays are not supported",
        "JVB_OCTO_BIND_ADDRESS": "bridge-to-bridge relays are not supported",
        "JVB_OCTO_PUBLIC_ADDRESS": "bridge-to-bridge relays are not supported",
        "JVB_OCTO_BIND_PORT": "bridge-to-bridge relays are not supported",
        "JVB_TCP_HARVESTER_DISABLED": "media over TCP is not supported",
        "JVB_TCP_PORT": "media over TCP is not supported",
        "JVB_TCP_MAPPED_PORT": "media over TCP is not supported",
        "JVB_ENABLE_APIS": "replaced by COLIBRI_REST_ENABLED",
        "JVB_USE_USRSCTP": "there is one SCTP implementation",
        "JVB_REQUIRE_VALID_ADDRESS": "health does not depend on a public address",
        "JVB_INSTANCE_ID": "used by the autoscaler sidecar only",
        "DISABLE_AWS_HARVESTER": "addresses are not asked from AWS; set JVB_ADVERTISE_IPS or JVB_STUN_SERVERS",
        "VIDEOBRIDGE_MAX_MEMORY": "there is no Java heap to limit",
        "BWE_ESTIMATOR_ENGINE": "there is one bandwidth estimator",
        "ENABLE_VLA": "the video layers allocation is not used for target bitrates",
        "JVB_SENTRY_DSN": "errors are reported in the log only",
        "SENTRY_DSN": "errors are reported in the log only",
        "AUTOSCALER_URL": "the sidecar is a program of its own",
        "COLIBRI_WEBSOCKET_PORT": "replaced by JVB_WS_PORT",
        "COLIBRI_WEBSOCKET_REGEX": "a setting of the web server",
        "JAVA_SYS_PROPS": "there is no Java",
        "JVB_OPTS": "there is no Java",
    ]

    /// What is set and has no effect: foreign variables with their reason, and unknown `JVB_` names with a guess.
    /// - Parameter known: names that were read.
    static func ignored(in environment: [String: String], known: Set<String>) -> [(name: String, reason: String)] {
        environment.keys.sorted().compactMap { name in
            guard !known.contains(name), environment[name]?.isEmpty == false else { return nil }
            if let reason = reasons[name] { return (name, reason) }
            // Known under the other value of ENABLE_JVB_XMPP_SERVER.
            if name.hasPrefix("JVB_XMPP_") { return (name, "used only with ENABLE_JVB_XMPP_SERVER=1") }
            guard name.hasPrefix("JVB_") else { return nil }
            if let near = known.filter({ distance($0, name) <= 2 }).min() {
                return (name, "unknown; did you mean \(near)?")
            }
            return (name, "unknown")
        }
    }

    /// Levenshtein distance.
    private static func distance(_ a: String, _ b: String) -> Int {
        let a = Array(a.utf8), b = Array(b.utf8)
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let above = row[j + 1]
                row[j + 1] = min(min(above, row[j]) + 1, diagonal + (x == y ? 0 : 1))
                diagonal = above
            }
        }
        return row[b.count]
    }
}
