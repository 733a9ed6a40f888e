// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// `jvbd demo`: a bridge with a meeting page of its own, so that two browser tabs can talk with nothing else installed.

import ArgumentParser

struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Serve a meeting page on this machine; open it in two tabs.",
        discussion: """
            No XMPP server, no Jicofo: the page itself talks COLIBRI2 to the bridge. Browsers allow camera and microphone on \
            http://127.0.0.1 without a certificate, so the page listens there only.
            """)

    @Option(help: "TCP port of the page.")
    var port: Int?

    @Option(name: .customLong("media-port"), help: "UDP port for media.")
    var mediaPort: Int?

    func validate() throws {
        for number in [port, mediaPort] where !(1...65535).contains(number ?? 1) {
            throw ValidationError("a port is a number from 1 to 65535")
        }
    }

    func run() async throws {
        var environment = ProcessEnvironment.variables
        environment["JVB_COLIBRI_HOST"] = "127.0.0.1"
        environment["COLIBRI_REST_ENABLED"] = "1"
        if let port { environment["JVB_COLIBRI_PORT"] = String(port) }
        if let mediaPort { environment["JVB_PORT"] = String(mediaPort) }
        let configuration = Configuration(environment: environment, purpose: .demo)
        throw ExitCode(
            await BridgeProcess.run(configuration, page: PackageResources.meeting_html, isDemo: true))
    }
}
