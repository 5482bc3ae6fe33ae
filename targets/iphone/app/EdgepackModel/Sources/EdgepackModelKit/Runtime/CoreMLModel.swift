import CoreML
import Foundation

#if canImport(UIKit)
    import UIKit
#endif

/// One of the bundle's models: compiled once on the device, loaded when it is first used, let go when memory is short.
actor CoreMLModel {
    private let bundle: ModelBundle
    private let name: String
    private let units: MLComputeUnits
    private var loaded: MLModel?

    /// `units`: nil for what suits the model: the Neural Engine takes fixed sizes alone, and others are `flexible`.
    init(
        bundle: ModelBundle, name: String = "model", units: MLComputeUnits?, flexible: MLComputeUnits = .all
    ) throws {
        guard let entry = bundle.manifest.models[name] else {
            throw ModelError.bundleDamaged("edgepack.json lists no model \(name)")
        }
        self.bundle = bundle
        self.name = name
        let ranged = entry.inputs.contains(where: \.ranged)
        self.units = units ?? (ranged ? flexible : .cpuAndNeuralEngine)
        #if canImport(UIKit)
            Task { [weak self] in
                let warning = UIApplication.didReceiveMemoryWarningNotification
                for await _ in NotificationCenter.default.notifications(named: warning) { await self?.unload() }
            }
        #endif
    }

    /// Compiles and loads; `progress` is told the share that is done, 0...1, and the Neural Engine may take minutes.
    func load(progress: @Sendable (Double) -> Void = { _ in }) async throws -> MLModel {
        if let loaded { return loaded }
        try checkMemory()
        let place = try await compiled()
        progress(0.6)
        let configuration = MLModelConfiguration()
        configuration.computeUnits = units
        do {
            let model = try await MLModel.load(contentsOf: place, configuration: configuration)
            loaded = model
            progress(0.9)
            return model
        } catch {
            throw ModelError.runtime("\(place.lastPathComponent) cannot be loaded: \(error.localizedDescription)")
        }
    }

    /// Computes the outputs of `inputs`.
    func predict(_ inputs: [String: MLFeatureValue]) async throws -> MLFeatureProvider {
        let model = try await load()
        do {
            return try await model.prediction(from: MLDictionaryFeatureProvider(dictionary: inputs))
        } catch {
            throw ModelError.runtime("the model cannot be run: \(error.localizedDescription)")
        }
    }

    /// Gives the model's memory back; the next call loads it again.
    func unload() { loaded = nil }

    private func compiled() async throws -> URL {
        let manager = FileManager.default
        let support = try manager.url(
            for: .applicationSupportDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
        let home = support.appending(path: "edgepack/EdgepackModel/\(name)")
        let system = ProcessInfo.processInfo.operatingSystemVersionString
        let place = home.appending(path: "\(bundle.version)-\(system).mlmodelc")
        if manager.fileExists(atPath: place.path) { return place }
        try? manager.removeItem(at: home)  // of another version or system, or of an attempt that was ended
        var folder = home
        try manager.createDirectory(at: folder, withIntermediateDirectories: true)
        var unsaved = URLResourceValues()
        unsaved.isExcludedFromBackup = true
        try folder.setResourceValues(unsaved)
        guard let entry = bundle.manifest.models[name] else { throw ModelError.bundleDamaged("no model \(name)") }
        do {
            let made = try await MLModel.compileModel(at: bundle.file(entry.file))
            try manager.moveItem(at: made, to: place)
            return place
        } catch {
            throw ModelError.runtime("\(entry.file) cannot be compiled: \(error.localizedDescription)")
        }
    }

    private func checkMemory() throws {
        #if os(iOS)
            let files = bundle.manifest.models[name]?.files ?? []
            let needed = files.compactMap { bundle.manifest.files[$0]?.bytes }.reduce(0, +)
            let available = Int64(os_proc_available_memory())
            if available > 0 && needed > available { throw ModelError.memory(needed: needed, available: available) }
        #endif
    }
}

extension MLFeatureProvider {
    /// The float32 values of an output. Throws `ModelError.runtime` where there is none of that name.
    func floats(_ name: String) throws -> [Float] {
        guard let array = featureValue(for: name)?.multiArrayValue else {
            throw ModelError.runtime("the model gives no \(name)")
        }
        return MLShapedArray<Float>(converting: array).scalars
    }
}
