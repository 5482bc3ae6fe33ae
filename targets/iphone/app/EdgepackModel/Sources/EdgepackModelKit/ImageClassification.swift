import CoreGraphics
import CoreML
import CoreVideo
import Foundation

/// @model@: @labels@ labels of images, which become @image_width@ x @image_height@ pixels.
public final class ImageClassification: Sendable {
    private let bundle: ModelBundle
    private let answer: Manifest.Answer
    private let images: Images
    private let model: CoreMLModel

    /// Opens the bundle in this package. Call `prewarm` before the first image that somebody waits for.
    ///
    /// - Parameter units: nil chooses what suits the model.
    public init(bundle: ModelBundle? = nil, units: MLComputeUnits? = nil) async throws {
        let bundle = try bundle ?? ModelBundle.included()
        guard let answer = bundle.manifest.processing.answer, let image = bundle.manifest.processing.image else {
            throw ModelError.bundleDamaged("edgepack.json does not say how images become labels")
        }
        self.bundle = bundle
        self.answer = answer
        images = Images(image: image)
        model = try CoreMLModel(bundle: bundle, units: units)
    }

    /// The names of all labels, in the model's order.
    public var labels: [String] { answer.labels ?? [] }

    /// Compiles (at the first start), loads and runs the model once; `progress` is told 0...1.
    public func prewarm(progress: @Sendable (Double) -> Void = { _ in }) async throws {
        _ = try await model.load(progress: progress)
        let grey = Pixels.made(size.height, size.width, images.image.channels) { _, _, _ in 127 }
        _ = try await classify([grey])
        progress(1)
    }

    /// Returns the labels of each image with their scores, best first.
    public func classify(_ images: [Pixels]) async throws -> [[ScoredLabel]] {
        var found: [[ScoredLabel]] = []
        for image in images {
            try Task.checkCancellation()
            found.append(try answer.labels(await logits(image)))
        }
        return found
    }

    /// Returns the labels of an image, best first.
    public func classify(_ image: CGImage) async throws -> [ScoredLabel] { try await classify([Pixels(image)])[0] }

    /// Returns the labels of a camera's buffer (32BGRA), best first.
    public func classify(_ buffer: CVPixelBuffer) async throws -> [ScoredLabel] { try await classify([Pixels(buffer)])[0] }

    /// Gives the model's memory back; the next call loads it again. Memory warnings do so by themselves.
    public func unload() async { await model.unload() }

    var size: Manifest.Image.Size { images.image.size }

    func prepared(_ image: Pixels) throws -> Pixels { try images.prepared(image) }

    func logits(_ image: Pixels) async throws -> [Float] {
        let buffer = try prepared(image).buffer()
        return try await model.predict(["image": MLFeatureValue(pixelBuffer: buffer)]).floats("logits")
    }
}
