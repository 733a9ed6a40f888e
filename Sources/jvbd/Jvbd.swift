// Copyright the jvbd authors. SPDX-License-Identifier: Apache-2.0

/// The command line: without a subcommand jvbd is the bridge of the deployment that its environment describes.

import ArgumentParser

@main
struct Jvbd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jvbd",
        abstract: "A video bridge for Jitsi Meet: forwards each participant's media to the others.",
        discussion: """
            Configured by environment variables, like the jvb container: XMPP_SERVER, JVB_AUTH_PASSWORD, JVB_PORT, \
            JVB_ADVERTISE_IPS and so on. "jvbd config" prints every one with its value and origin.
            """,
        version: Version.string,
        subcommands: [RunCommand.self, DemoCommand.self, BenchCommand.self, ConfigCommand.self],
        defaultSubcommand: RunCommand.self)
}

/// What the shell, systemd and the container learn from the end of the process.
enum ExitStatus {
    /// `EX_CONFIG` of sysexits(3): systemd is told not to start the bridge again.
    static let configuration: Int32 = 78
}

/// `jvbd run`, the default.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Be a bridge of a Jitsi Meet deployment, as the environment says.")

    func run() async throws {
        let configuration = Configuration(environment: ProcessEnvironment.variables)
        throw ExitCode(await BridgeProcess.run(configuration))
    }
}

/// `jvbd config`: what the bridge would run with, and where each value comes from.
struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Print every setting, its value and where it comes from.")

    func run() throws {
        let configuration = Configuration(environment: ProcessEnvironment.variables)
        print(configuration.report)
        if !configuration.problems.isEmpty { throw ExitCode(ExitStatus.configuration) }
    }
}
