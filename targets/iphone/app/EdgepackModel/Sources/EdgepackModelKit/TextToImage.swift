import CoreGraphics
import CoreML
import Foundation
import StableDiffusion

/// @model@: images of @image_width@ x @image_height@ pixels from prompts, by Apple's StableDiffusion package.
public actor TextToImage {
    /// How an image is made; nil is what the model's authors say.
    public struct Options: Sendable {
        public var negativePrompt = ""
        public var steps: Int?
        public var guidance: Float?
        /// The same seed gives the same image again.
        public var seed: UInt32 = 0

        public init() {}
    }

    private let bundle: ModelBundle
    private let diffusion: Manifest.Diffusion
    private let scheduler: StableDiffusionScheduler
    private let units: MLComputeUnits
    private var pipeline: (any StableDiffusionPipelineProtocol)?

    /// Opens the bundle in this package. Call `prepare` before the first image that somebody waits for.
    public init(bundle: ModelBundle? = nil, units: MLComputeUnits = .cpuAndGPU) throws {
        let bundle = try bundle ?? ModelBundle.included()
        guard let diffusion = bundle.manifest.processing.diffusion else {
            throw ModelError.bundleDamaged("edgepack.json does not say how images are made")
        }
        let algorithm = bundle.manifest.processing.schedule?.algorithm ?? ""
        guard let scheduler = Self.schedulers[algorithm] else {
            throw ModelError.bundleDamaged("Apple's package has no schedule \(algorithm), which the model was made for")
        }
        self.bundle = bundle
        self.diffusion = diffusion
        self.scheduler = scheduler
        self.units = units
    }

    /// Compiles the packages (at the first start, one after the other) and loads them; `progress` is told 0...1.
    public func prepare(progress: @Sendable (Double) -> Void = { _ in }) async throws {
        if pipeline != nil { return }
        let place = try await compiled(progress)
        let configuration = MLModelConfiguration()
        configuration.computeUnits = units
        do {
            let large = bundle.manifest.models["text_encoder_2"] != nil
            let made: any StableDiffusionPipelineProtocol
            if large {
                made = try StableDiffusionXLPipeline(
                    resourcesAt: place, configuration: configuration, reduceMemory: true)
            } else {
                made = try StableDiffusionPipeline(
                    resourcesAt: place, controlNet: [], configuration: configuration,
                    disableSafety: bundle.manifest.models["safety_checker"] == nil, reduceMemory: true)
            }
            try made.loadResources()
            pipeline = made
        } catch {
            throw ModelError.runtime("the packages cannot be loaded: \(error.localizedDescription)")
        }
        progress(1)
    }

    /// Returns an image of `prompt`; `progress` is told the steps that are done and all. Cancelling the task ends it.
    public func generate(
        _ prompt: String, options: Options = Options(), progress: @escaping @Sendable (Int, Int) -> Void = { _, _ in }
    ) async throws -> CGImage {
        try await prepare()
        var wanted = PipelineConfiguration(prompt: prompt)
        wanted.negativePrompt = options.negativePrompt
        wanted.stepCount = options.steps ?? diffusion.steps
        wanted.guidanceScale = options.guidance ?? diffusion.guidance
        wanted.seed = options.seed
        wanted.schedulerType = scheduler
        wanted.encoderScaleFactor = diffusion.scalingFactor
        wanted.decoderScaleFactor = diffusion.scalingFactor
        let images: [CGImage?]?
        do {
            images = try pipeline?.generateImages(configuration: wanted) { told in
                progress(told.step, told.stepCount)
                return !Task.isCancelled
            }
        } catch {
            throw ModelError.runtime("the image cannot be made: \(error.localizedDescription)")
        }
        try Task.checkCancellation()
        guard let image = images?.first ?? nil else { throw ModelError.input("the safety checker took the image away") }
        return image
    }

    /// Gives the models' memory back; the next call loads them again.
    public func unload() {
        pipeline?.unloadResources()
        pipeline = nil
    }

    private func compiled(_ progress: (Double) -> Void) async throws -> URL {
        let manager = FileManager.default
        let support = try manager.url(
            for: .applicationSupportDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
        let home = support.appending(path: "edgepack/EdgepackModel")
        let system = ProcessInfo.processInfo.operatingSystemVersionString
        let place = home.appending(path: "\(bundle.version)-\(system)")
        if manager.fileExists(atPath: place.path) { return place }
        try? manager.removeItem(at: home)  // of another version or system, or of an attempt that was ended
        var work = home.appending(path: "work")
        try manager.createDirectory(at: work, withIntermediateDirectories: true)
        var unsaved = URLResourceValues()
        unsaved.isExcludedFromBackup = true
        try work.setResourceValues(unsaved)
        let packages = self.packages
        for (done, package) in packages.enumerated() {
            let made = try await MLModel.compileModel(at: bundle.file(package))
            let name = URL(fileURLWithPath: package).deletingPathExtension().lastPathComponent
            try manager.moveItem(at: made, to: work.appending(path: name + ".mlmodelc"))
            progress(0.9 * Double(done + 1) / Double(packages.count))
        }
        for name in bundle.manifest.files.keys where name.hasSuffix("vocab.json") || name.hasSuffix("merges.txt") {
            let copy = work.appending(path: URL(fileURLWithPath: name).lastPathComponent)
            if !manager.fileExists(atPath: copy.path) { try manager.copyItem(at: bundle.file(name), to: copy) }
        }
        try manager.moveItem(at: work, to: place)
        return place
    }

    /// The packages in the bundle, but for an encoder of images, which prompts do not need.
    private var packages: [String] {
        let found = bundle.manifest.files.keys.compactMap { name in
            name.range(of: ".mlpackage/").map { String(name[..<$0.lowerBound]) + ".mlpackage" }
        }
        return Set(found).filter { !$0.hasSuffix("VAEEncoder.mlpackage") }.sorted()
    }

    private static let schedulers: [String: StableDiffusionScheduler] = [
        "pndm": .pndmScheduler, "dpm_solver_multistep": .dpmSolverMultistepScheduler,
    ]
}
