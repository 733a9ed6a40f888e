// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// What a video source shows. Clients write it in lower case, bridges in upper case, everybody reads both.
public enum VideoType: String, Hashable, Sendable, CaseIterable {
    case camera = "CAMERA"
    case desktop = "DESKTOP"
    /// A shared screen in motion, as when a film is played.
    case desktopHighFPS = "DESKTOP_HIGH_FPS"
    /// The source exists but the bridge must not send it.
    case disabled = "DISABLED"
    /// Muted.
    case none = "NONE"

    /// Reads the word in any case.
    public init?(_ word: String) { self.init(rawValue: word.uppercased()) }
}
