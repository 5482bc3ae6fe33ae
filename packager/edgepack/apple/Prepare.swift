// $name, made by edgepack. Add this file and the bundle's folder to an app that uses Apple's StableDiffusion package.

import CoreML
import Foundation

/// Compiles the bundle's packages on the device, once, into a folder for `StableDiffusionPipeline(resourcesAt:)`.
@available(iOS 16.2, macOS 13.1, *)
public enum $type {
    /// The packages, in the order in which a pipeline loads them.
    public static let packages = [$packages]
    /// The tokenizer's files.
    public static let files = [$files]
    /// For the configuration's `encoderScaleFactor` and `decoderScaleFactor`.
    public static let scaleFactor: Float32 = $scale

    /// Returns the folder of compiled models. What was compiled before is kept until the bundle or the system changes.
    ///
    /// - Parameters:
    ///   - bundle: The folder with the packages, for example in the app's resources.
    ///   - progress: Is called with 0...1 after each package.
    public static func prepare(bundle: URL, progress: (Double) -> Void = { _ in }) async throws -> URL {
        let manager = FileManager.default
        let support = try manager.url(
            for: .applicationSupportDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
        let home = support.appending(path: "edgepack").appending(path: "$name")
        let place = home.appending(path: key())
        if manager.fileExists(atPath: place.path) {
            progress(1)
            return place
        }
        try? manager.removeItem(at: home)  // of another version or system, or of an attempt that was ended
        var work = home.appending(path: "work")
        try manager.createDirectory(at: work, withIntermediateDirectories: true)
        var unsaved = URLResourceValues()
        unsaved.isExcludedFromBackup = true
        try work.setResourceValues(unsaved)
        for (done, package) in packages.enumerated() {
            let made = try await MLModel.compileModel(at: bundle.appending(path: package))
            let name = URL(fileURLWithPath: package).deletingPathExtension().lastPathComponent
            try manager.moveItem(at: made, to: work.appending(path: name + ".mlmodelc"))
            progress(Double(done + 1) / Double(packages.count))
        }
        for file in files {
            let name = URL(fileURLWithPath: file).lastPathComponent
            try manager.copyItem(at: bundle.appending(path: file), to: work.appending(path: name))
        }
        try manager.moveItem(at: work, to: place)
        return place
    }

    /// Names what was compiled: the bundle's models, and the system that compiled them.
    private static func key() -> String {
        let system = ProcessInfo.processInfo.operatingSystemVersion
        return "$version-\(system.majorVersion).\(system.minorVersion).\(system.patchVersion)"
    }
}
