import CoreML
import Foundation

/// @model@: @labels@ labels of sounds of one channel, @sampling_rate@ samples per second.
public final class AudioClassification: Sendable {
    private let answer: Manifest.Answer
    let audio: Manifest.Audio
    private let model: CoreMLModel

    /// Opens the bundle in this package. Call `prewarm` before the first sound that somebody waits for.
    ///
    /// - Parameter units: nil chooses what suits the model.
    public init(bundle: ModelBundle? = nil, units: MLComputeUnits? = nil) async throws {
        let bundle = try bundle ?? ModelBundle.included()
        guard let answer = bundle.manifest.processing.answer, let audio = bundle.manifest.processing.audio else {
            throw ModelError.bundleDamaged("edgepack.json does not say how sounds become labels")
        }
        guard audio.features.kind == "waveform" else {
            throw ModelError.bundleDamaged("this code makes no features of the kind \(audio.features.kind)")
        }
        self.answer = answer
        self.audio = audio
        model = try CoreMLModel(bundle: bundle, units: units)
    }

    /// The names of all labels, in the model's order.
    public var labels: [String] { answer.labels ?? [] }

    /// Compiles (at the first start), loads and runs the model once; `progress` is told 0...1.
    public func prewarm(progress: @Sendable (Double) -> Void = { _ in }) async throws {
        _ = try await model.load(progress: progress)
        _ = try await classify([Array(repeating: 0, count: max(audio.minSamples, audio.samplingRate))])
        progress(1)
    }

    /// Returns the labels of each sound, best first: samples from -1 to 1, @sampling_rate@ per second, of one channel.
    public func classify(_ sounds: [[Float]]) async throws -> [[ScoredLabel]] {
        var found: [[ScoredLabel]] = []
        for sound in sounds {
            try Task.checkCancellation()
            found.append(try answer.labels(await logits(sound)))
        }
        return found
    }

    /// Gives the model's memory back; the next call loads it again. Memory warnings do so by themselves.
    public func unload() async { await model.unload() }

    func prepared(_ samples: [Float]) throws -> [Float] {
        guard samples.count >= audio.minSamples else {
            throw ModelError.input("\(samples.count) samples are too few: the model takes \(audio.minSamples) or more")
        }
        if let most = audio.features.maxSamples, samples.count > most {
            throw ModelError.input("\(samples.count) samples are too many: the bundle takes \(most) at most")
        }
        guard samples.allSatisfy(\.isFinite) else { throw ModelError.input("the sound holds NaN or infinity") }
        guard audio.features.normalize == true else { return samples }
        let mean = samples.reduce(0.0) { $0 + Double($1) } / Double(samples.count)
        let variance = samples.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / Double(samples.count)
        return samples.map { Float((Double($0) - mean) / (variance + 1e-7).squareRoot()) }
    }

    func logits(_ sound: [Float]) async throws -> [Float] { try await computed(prepared(sound)) }

    func computed(_ values: [Float]) async throws -> [Float] {
        let array = MLShapedArray<Float>(scalars: values, shape: [1, values.count])
        let input = MLFeatureValue(multiArray: MLMultiArray(array))
        return try await model.predict([audio.input: input]).floats("logits")
    }
}
