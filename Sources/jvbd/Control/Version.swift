// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What this bridge calls itself.

enum Version {
    /// `major.minor.build` as other bridges of the protocol's generation say it, then our own.
    static let string = "2.3.0-jvbd0.1.0"
    /// The name that monitoring of Jitsi deployments expects.
    static let name = "JVB"
    static let system = "Linux"
}
