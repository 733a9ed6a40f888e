// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

public import RTP

extension MediaSource {
    /// A source of the bridge itself, under whose SSRC it sends RTCP: `jvb-a0` or `jvb-v0`. The msid is the one clients
    /// recognise as "not a participant".
    public static func feedback(_ kind: MediaKind, ssrc: SSRC) -> MediaSource {
        let name = kind == .audio ? "jvb-a0" : "jvb-v0"
        return MediaSource(
            kind: kind, name: name,
            sources: [SSRCDescription(ssrc: ssrc, name: name, msid: "mixedmslabel mixedlabel\(kind.name)0")])
    }
}
