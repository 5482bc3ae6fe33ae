import XCTest

@testable import EdgepackModelKit

/// Vectors as the original's, from texts and pixels on.
final class ZeroShotImageClassificationTests: XCTestCase {
    func testGoldenVectorsOfTexts() async throws {
        let model = try await ZeroShotImageClassification()
        try await checkGolden(ModelBundle.included(), "text_model", kind: "text") {
            try await model.embedTexts($0.texts)[0]
        }
    }

    func testGoldenVectorsOfImages() async throws {
        let model = try await ZeroShotImageClassification()
        try await checkGolden(ModelBundle.included(), "vision_model", kind: "image") {
            try await model.embedImages([$0.image])[0]
        }
    }

    func testTextsThatGoWrongFirst() async throws {
        let model = try await ZeroShotImageClassification()
        let tensors = try goldenInputs()
        for number in numbers(tensors, ".text") {
            let text = try XCTUnwrap(tensors["\(number).text"]).texts[0]
            XCTAssertEqual(model.ids(text), tensors["\(number).input.input_ids"]?.numbers, text)
        }
    }

    func testImagesThatGoWrongFirst() async throws {
        let model = try await ZeroShotImageClassification()
        let tensors = try goldenInputs()
        for number in numbers(tensors, ".image") {
            let made = try model.prepared(try XCTUnwrap(tensors["\(number).image"]).image)
            XCTAssertEqual([made.height, made.width], [model.size.height, model.size.width], number)
        }
    }
}
