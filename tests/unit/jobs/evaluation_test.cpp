#include "jobs/evaluation.hpp"

#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/prediction.hpp"
#include "jobs/stop_signal.hpp"

namespace trireme::jobs {
namespace {

using testing::HasSubstr;

Evaluation of_classes(std::int64_t classes) {
    Evaluation evaluation;
    evaluation.split = "val";
    evaluation.outputs = classes;
    evaluation.confusion.assign(static_cast<std::size_t>(classes * classes), 0);
    return evaluation;
}

TEST(Evaluation, CountsClassesAndTheirConfusion) {
    Evaluation evaluation = of_classes(6);
    evaluation.samples = 3;
    count_sample(evaluation, std::vector<float>{0, 1, 5, 2, 3, 4}, 2);
    count_sample(evaluation, std::vector<float>{0, 1, 5, 2, 3, 4}, 1);
    count_sample(evaluation, std::vector<float>{0, 1, 5, 2, 3, 4}, 0);  // last of six: not in the top five
    EXPECT_EQ(evaluation.right, 1);
    EXPECT_EQ(evaluation.top5, 2);
    EXPECT_DOUBLE_EQ(evaluation.accuracy(), 1.0 / 3);
    EXPECT_EQ(evaluation.confusion[1 * 6 + 2], 1);
    const std::string text = evaluation.text("here");
    EXPECT_THAT(text, HasSubstr("val of here: 3 samples"));
    EXPECT_THAT(text, HasSubstr("confusion (rows: actual, columns: predicted)"));
    EXPECT_THAT(text, HasSubstr("33.33 %"));
    EXPECT_THAT(evaluation.json(), HasSubstr("\"top5\":0.66"));
}

TEST(Evaluation, OfEqualLogitsTheLowerClassWins) {
    Evaluation evaluation = of_classes(3);
    count_sample(evaluation, std::vector<float>{1, 1, 1}, 1);
    EXPECT_EQ(evaluation.right, 0);
    EXPECT_EQ(evaluation.confusion[1 * 3 + 0], 1);
}

TEST(Evaluation, ManyClassesAreToldByTheirLargestConfusions) {
    Evaluation evaluation = of_classes(30);
    evaluation.samples = 2;
    std::vector<float> logits(30);
    logits[7] = 1;
    count_sample(evaluation, logits, 8);
    count_sample(evaluation, logits, 8);
    EXPECT_THAT(evaluation.text("x"), HasSubstr("2 of class 8 taken for 7"));
}

TEST(Evaluation, LabelsAreRightOrWrongOneByOneAndNumbersHaveNoAccuracy) {
    Evaluation evaluation;
    evaluation.kind = OutputKind::probabilities;
    evaluation.outputs = 4;
    evaluation.samples = 1;
    count_labels(evaluation, std::vector<float>{2, -1, 0.5F, -3}, std::vector<float>{1, 1, 0, 0});
    EXPECT_DOUBLE_EQ(evaluation.accuracy(), 0.5);
    EXPECT_THAT(evaluation.json(), HasSubstr("\"accuracy\":0.5,\"top5\":null,\"confusion\":null"));
    evaluation.kind = OutputKind::values;
    EXPECT_FALSE(evaluation.has_accuracy());
    EXPECT_THAT(evaluation.json(), HasSubstr("\"accuracy\":null"));
    EXPECT_THAT(evaluation.text("x"), testing::Not(HasSubstr("accuracy")));
}

TEST(Prediction, RowsOfEachKind) {
    std::vector<float> logits{1, 3, 3};
    EXPECT_EQ(logits_to_row(OutputKind::classes, logits), 1);
    EXPECT_FLOAT_EQ(logits[0] + logits[1] + logits[2], 1);
    EXPECT_FLOAT_EQ(logits[1] / logits[0], std::exp(2.0F));
    std::vector<float> huge{1e4F, -1e4F};
    EXPECT_EQ(logits_to_row(OutputKind::classes, huge), 0);
    EXPECT_FLOAT_EQ(huge[0], 1);
    std::vector<float> labels{0, 100, -100};
    EXPECT_EQ(logits_to_row(OutputKind::probabilities, labels), 0);
    EXPECT_FLOAT_EQ(labels[0], 0.5);
    EXPECT_FLOAT_EQ(labels[1], 1);
    std::vector<float> numbers{-7.5F};
    EXPECT_EQ(logits_to_row(OutputKind::values, numbers), 0);
    EXPECT_FLOAT_EQ(numbers[0], -7.5F);
}

TEST(StopSignal, NotesASignalAndGivesItBack) {
    static volatile std::sig_atomic_t others = 0;
    const auto former = std::signal(SIGUSR1, [](int) { others = others + 1; });
    {
        const StopSignal stop;
        EXPECT_FALSE(StopSignal::wished());
        std::raise(SIGUSR1);
        EXPECT_TRUE(StopSignal::wished());
        EXPECT_EQ(others, 0);
    }
    std::raise(SIGUSR1);
    EXPECT_EQ(others, 1);
    {
        const StopSignal stop;
        EXPECT_FALSE(StopSignal::wished()) << "an earlier wish is forgotten";
        std::raise(SIGTERM);
        EXPECT_TRUE(StopSignal::wished());
    }
    std::signal(SIGUSR1, former);
}

}  // namespace
}  // namespace trireme::jobs
